"""Signed requests to one bucket, with corrections from its responses: region, clock, credentials, headers."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence

import anyio
from anyio.to_thread import run_sync

from snapdir.errors import InvalidResponse, StoreRefused
from snapdir.stores.base import Body, FileRange
from snapdir.stores.s3 import xml
from snapdir.stores.s3.bucket_headers import headers_of_all, headers_of_session
from snapdir.stores.s3.checksums import UNSUPPORTED, Checksums, content_md5, other_bytes, payload_hash, require_same
from snapdir.stores.s3.credentials import CredentialSource, DirectorySession
from snapdir.stores.s3.failures import (
    CHECK_ENDPOINT,
    BodyRefused,
    ErrorResponse,
    Operation,
    connection_error,
    service_error,
)
from snapdir.stores.s3.http.endpoint import proxy_for
from snapdir.stores.s3.http.errors import WireError
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import Reception, Response
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.http.tls import trusted_context
from snapdir.stores.s3.logged_pool import pool_class
from snapdir.stores.s3.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, Credentials, Signer, encode_path, encode_query
from snapdir.stores.s3.target import S3Target, is_region
from snapdir.stores.settings import StoreSettings

ANSWER, PAGE = Reception(max_body_bytes=xml.ANSWER_BYTES), Reception(max_body_bytes=xml.PAGE_BYTES)
WORK_SECONDS = 600.0
"""A service takes minutes to assemble 10,000 parts, or to copy 5 GiB. Some send white space meanwhile."""

RENEW_SECONDS = 30.0
"""How often credentials are read from the source, which renews them minutes before they expire."""

SKEW_SECONDS = 300.0
"""The response to a HEAD has no body to say why it was refused; a clock that far off explains it."""

ELSEWHERE_STATUSES = (301, 307, 400)
EXPIRED_CODES = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired")
CHECKSUM, CHECKSUM_ALGORITHM = b"x-amz-checksum-crc32c", b"x-amz-checksum-algorithm"
CHECKSUM_HEADERS = frozenset({CHECKSUM, CHECKSUM_ALGORITHM})
CONTENT_MD5 = b"content-md5"
NO_HEADERS: Mapping[bytes, bytes] = {}
_SUCCESS = {b"GET": (200, 206), b"HEAD": (200, 204), b"PUT": (200,), b"POST": (200,), b"DELETE": (200, 202, 204)}
"""The statuses of a success. A 204 to a PUT means that nothing was stored."""


class S3Client:
    """Sends requests to one bucket. A request is repeated only with a correction, never retried.

    Attributes:
        target: The bucket. Its region changes if the service names another one.
        checksums: Whether the service takes CRC32C.
        compares: A response has shown that the service verifies the CRC32C of a body.
        proxy: The proxy on the way; None for none.

    Raises:
        InvalidOption: the environment names a proxy that cannot be used.
    """

    def __init__(
        self,
        target: S3Target,
        source: CredentialSource,
        settings: StoreSettings,
        *,
        max_connections: int,
        checksums: Checksums | None = None,
    ) -> None:
        self.target = target
        self.checksums = checksums or Checksums()
        self.compares = False
        self._settings = settings
        self._max_connections = max_connections
        self._address = target.address
        self.proxy = proxy_for(*self._address[:3])
        by_session = self._address.by_session and target.options.sign
        self._source = DirectorySession(source, self._create_session) if by_session else source
        self._headers_of_all = headers_of_all(target.options)
        self._wants_md5 = False
        self._pool: Pool | None = None
        self._signer: Signer | None = None
        self._renew_at = 0.0
        self._clock_offset_seconds = 0.0
        self._refused_credentials: Credentials | None = None
        self._preparing = anyio.Lock()
        self._set_paths()

    @property
    def encrypted(self) -> bool:
        """Whether bodies come over TLS."""
        return self._address.scheme == "https"

    @property
    def nests_tls(self) -> bool:
        """Whether TLS runs inside TLS with a proxy; threads cannot decrypt bodies then."""
        return self.encrypted and self.proxy is not None and self.proxy.scheme == "https"

    async def send(
        self,
        operation: Operation,
        method: bytes,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[bytes, bytes] = NO_HEADERS,
        body: Body | None = None,
        reception: Reception = ANSWER,
        also: int = 0,
    ) -> Response:
        """Send one signed request, and again after each kind of correction.

        Args:
            also: A status that is returned besides those of a success.

        Returns:
            The response; its ``corrections`` are the kinds that it took.

        Raises:
            StoreError: Names bucket, key and endpoint, and no secret.
        """
        corrections: set[str] = set()
        if self._headers_of_all:
            headers = {**headers, **self._headers_of_all}
        encoded_query = encode_query(query) if query else b""
        while True:
            if self._signer is None or self._pool is None or time.monotonic() >= self._renew_at:
                signer, pool = await self._prepare()
            else:
                signer, pool = self._signer, self._pool
            path = self._bucket_path if operation.key is None else self._key_path + encode_path(operation.key)
            payload = EMPTY_PAYLOAD if body is None else UNSIGNED_PAYLOAD
            if self.target.profile.signs_payloads:
                payload = await payload_hash(body)
            lines = signer.sign(
                method, path, encoded_query, host=pool.host_header, headers=headers, payload_hash=payload
            )
            try:
                target = path + b"?" + encoded_query if encoded_query else path
                response = await pool.request(method, target, lines, body, reception)
            except WireError as error:
                raise connection_error(error, operation, body) from error
            if response.status == also or response.status in _SUCCESS[method]:
                response.corrections = corrections
                return response
            headers, kind = await self._correct_request(
                operation, response, signer, headers, body=body, corrections=corrections
            )
            corrections.add(kind)
            if kind == "checksum" and isinstance(body, FileRange) and body.crc32c is not None:
                body = body._replace(compare=True)

    async def put(
        self,
        operation: Operation,
        body: Body,
        crc32c: int | None,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[bytes, bytes] = NO_HEADERS,
        also: int = 0,
    ) -> tuple[Response, int | None]:
        """PUT ``body`` with its CRC32C, so that the service refuses any other bytes; returns the CRC32C that was sent.

        A service that refuses the header gets the request without it. Until a response has shown that the service
        verifies checksums, a file is verified while it is sent. Content-MD5 is sent once a refusal has demanded it
        (for a bucket with Object Lock, say).

        Raises:
            InFluxError: the file has changed since it was hashed; nothing is written.
            BodyRefused: other bytes arrived, although the file is unchanged.
        """
        sent = b"" if crc32c is None else b64encode(crc32c.to_bytes(4, "big"))
        if sent:
            headers = {**headers, CHECKSUM: sent}
        if self._wants_md5:
            headers = {**headers, CONTENT_MD5: await run_sync(content_md5, body)}
        if isinstance(body, FileRange) and body.crc32c is not None and not (sent and self.compares):
            body = body._replace(compare=True)
        try:
            response = await self.send(operation, b"PUT", query=query, headers=headers, body=body, also=also)
            confirmed = response.header(CHECKSUM) if sent else None
            if confirmed is not None and confirmed != sent:
                require_same(operation, crc32c, confirmed)
        except BodyRefused as error:
            if crc32c is None:
                raise
            raise await other_bytes(error, body, crc32c) from error
        if confirmed == sent:
            self.compares = True
        if "md5" in response.corrections:
            self._wants_md5 = True
        if "checksum" in response.corrections:
            await self.checksums.note_refusal()
            return response, None
        return response, crc32c

    async def aclose(self) -> None:
        """Close every connection. Safe to repeat."""
        if self._pool is not None:
            await self._pool.aclose()

    # Connections and credentials

    async def _prepare(self) -> tuple[Signer, Pool]:
        """Get valid credentials and, the first time, open the pool."""
        async with self._preparing:
            pool, signer = await self._connections(), self._signer
            if signer is None or time.monotonic() >= self._renew_at:
                signer = self._sign_by(await self._source.credentials())
            return signer, pool

    def _sign_by(self, credentials: Credentials) -> Signer:
        """Sign by ``credentials`` from now on."""
        self._renew_at = time.monotonic() + RENEW_SECONDS
        if self._signer is None or credentials != self._signer.credentials:
            self._signer = self._new_signer(credentials)
        return self._signer

    def _new_signer(self, credentials: Credentials) -> Signer:
        address, offset = self._address, self._clock_offset_seconds
        return Signer(credentials, address.region, address.service, clock_offset_seconds=offset)

    def _set_paths(self) -> None:
        path = self._address.path
        self._bucket_path = encode_path(path.rstrip("/") or "/")
        self._key_path = encode_path(path + self.target.prefix)

    async def _create_session(self, credentials: Credentials) -> Credentials:
        """Begin a session with a directory bucket, and return its credentials."""
        operation = Operation(self.target, "CREATE SESSION")
        pool = await self._connections()
        path, query = self._bucket_path, b"session="
        headers = {b"x-amz-create-session-mode": b"ReadWrite", **headers_of_session(self.target.options)}
        signer = self._new_signer(credentials)
        lines = signer.sign(b"GET", path, query, host=pool.host_header, headers=headers, payload_hash=EMPTY_PAYLOAD)
        try:
            response = await pool.request(b"GET", path + b"?" + query, lines)
        except WireError as error:
            raise connection_error(error, operation, None) from error
        if response.status != 200:
            raise service_error(self._error_response(response), operation)
        return xml.session_credentials(response.body, operation)

    async def _connections(self) -> Pool:
        if self._pool is None:
            self._pool = await run_sync(self._make_pool)
        return self._pool

    def _make_pool(self) -> Pool:
        """Blocking: reads the trusted certificates, about 20 ms."""
        scheme, host, port, *_ = self._address
        settings, bundle = self._settings, self.target.profile.ca_bundle or ()
        if self.proxy is not None and self.proxy.scheme == "https":
            self.proxy = self.proxy._replace(ssl_context=trusted_context(*bundle))
        return pool_class()(
            host,
            port,
            ssl_context=trusted_context(*bundle) if scheme == "https" else None,
            proxy=self.proxy,
            max_connections=self._max_connections,
            timeouts=Timeouts(
                connect_seconds=settings.connect_timeout_seconds,
                first_byte_seconds=settings.first_byte_timeout_seconds,
                stall_seconds=settings.stall_timeout_seconds,
                min_bytes_per_second=settings.min_rate_bytes,
            ),
        )

    # Corrections

    async def _correct_request(
        self,
        operation: Operation,
        response: Response,
        signer: Signer,
        headers: Mapping[bytes, bytes],
        *,
        body: Body | None,
        corrections: Collection[str],
    ) -> tuple[Mapping[bytes, bytes], str]:
        """Correct the cause of an error response; returns the headers of the next try, and the kind of correction.

        Args:
            corrections: Kinds that this request has had: each is tried once.
            signer: Signed the request. If another request has made the same correction, this one is only repeated.
        """
        if response.status < 300:
            raise InvalidResponse(
                f"{operation}: unexpected HTTP {response.status}; {CHECK_ENDPOINT}", key=operation.key
            )
        answer = self._error_response(response)
        error = service_error(answer, operation)
        kind = await self._correct_signature(operation, answer, signer, corrections)
        if kind is None and isinstance(error, StoreRefused):
            demands_md5 = answer.status == 400 and CONTENT_MD5.decode() in f"{answer.code} {answer.message}".lower()
            if demands_md5 and operation.verb == "PUT" and body is not None and CONTENT_MD5 not in headers:
                headers, kind = {**headers, CONTENT_MD5: await run_sync(content_md5, body)}, "md5"
            elif answer.code in UNSUPPORTED and not headers.keys().isdisjoint(CHECKSUM_HEADERS):
                kept = {name: value for name, value in headers.items() if name not in CHECKSUM_HEADERS}
                headers, kind = kept, "checksum"
        if kind is None:
            raise error
        return headers, kind

    async def _correct_signature(
        self, operation: Operation, answer: ErrorResponse, signer: Signer, corrections: Collection[str]
    ) -> str | None:
        # The region in the refusal of a copy may be the other bucket's.
        if "region" not in corrections and operation.verb != "COPY" and await self._move(answer, signer):
            return "region"
        if "clock" not in corrections and self._correct_clock(answer, signer):
            return "clock"
        # AWS refuses a HEAD with an expired token by a 400 without a code.
        may_have_expired = answer.code in EXPIRED_CODES or (answer.status == 400 and not answer.code)
        if "credentials" not in corrections and may_have_expired and await self._renew(signer):
            return "credentials"
        return None

    def _error_response(self, response: Response) -> ErrorResponse:
        answer = xml.error_response(response.status, response.body, response.headers)
        return answer if self.proxy is None else answer._replace(proxy=str(self.proxy))

    async def _renew(self, signer: Signer) -> bool:
        """Whether there are other credentials than the refused ones; their source is read again once."""
        async with self._preparing:
            refused, current = signer.credentials, self._signer or signer
            if current.credentials == refused != self._refused_credentials:
                self._refused_credentials = refused
                current = self._sign_by(await self._source.read_again())
            return current.credentials != refused

    async def _move(self, answer: ErrorResponse, signer: Signer) -> bool:
        """Sign for the bucket's own region from now on, and at AWS use its host."""
        region = answer.bucket_region
        if not region or not is_region(region) or region == signer.region or answer.status not in ELSEWHERE_STATUSES:
            return False
        if region == self._address.region:
            return True
        was, self.target = self._address, self.target._replace(region=region)
        self._address = self.target.address
        self._set_paths()
        self._signer = self._new_signer((self._signer or signer).credentials)
        if self._address.host != was.host and self._pool is not None:
            self.proxy = proxy_for(*self._address[:3])
            old, self._pool = self._pool, await run_sync(self._make_pool)
            await old.aclose()
        return True

    def _correct_clock(self, answer: ErrorResponse, signer: Signer) -> bool:
        """Sign by the server's clock from now on, if the response complains about the time."""
        server = answer.server_seconds
        complaint = answer.code == "RequestTimeTooSkewed" or (answer.status == 403 and not answer.code)
        if server is None or not complaint or abs(server - time.time() - signer.clock_offset_seconds) < SKEW_SECONDS:
            return False
        if self._clock_offset_seconds == signer.clock_offset_seconds:
            self._clock_offset_seconds = server - time.time()
            self._signer = self._new_signer((self._signer or signer).credentials)
        return True
