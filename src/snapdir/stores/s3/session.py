"""Where a bucket is, over which connections, and with whose signature: what the requests of one store share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import anyio
from anyio.to_thread import run_sync

from snapdir.stores.base import Body
from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3 import xml
from snapdir.stores.s3.credentials import CredentialSource
from snapdir.stores.s3.demands import headers_of_session
from snapdir.stores.s3.express import DirectorySession
from snapdir.stores.s3.failures import Asked, Refusal
from snapdir.stores.s3.http.endpoint import proxy_for
from snapdir.stores.s3.http.errors import WireError
from snapdir.stores.s3.http.parsing import http_seconds
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import Response
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.http.tls import trusted_context
from snapdir.stores.s3.location import S3Target, is_region
from snapdir.stores.s3.payloads import payload_hash
from snapdir.stores.s3.responses import refusal_from
from snapdir.stores.s3.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, Credentials, Signer, encode_path
from snapdir.stores.s3.wire_failures import wire_failure
from snapdir.stores.settings import StoreSettings

__all__ = ["Signature", "WireSession"]

RENEW_SECONDS = 30.0
"""How often the source is asked whether the credentials still hold; it renews them minutes before they expire."""

SKEW_SECONDS = 300.0
"""A HEAD that is refused has no body to say why; a clock that far off explains it."""

ELSEWHERE_STATUSES = (301, 307, 400)
EXPIRED_CODES = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired")


class Signature(NamedTuple):
    """What a request is signed with."""

    region: str | None
    clock_offset_seconds: float
    credentials: Credentials | None


class WireSession:
    """Connections and signatures for one bucket.

    Attributes:
        target: Where requests go; another region once the service has said so.
        proxy: What they go through; None: directly.

    Raises:
        InvalidOption: the environment names a proxy that cannot be used.
    """

    def __init__(
        self, target: S3Target, source: CredentialSource, settings: StoreSettings, *, max_connections: int
    ) -> None:
        self.target = target
        self._settings = settings
        self._max_connections = max_connections
        self._pool: Pool | None = None
        self._signer: Signer | None = None
        self._renew_at = 0.0
        self._address = target.address
        self.proxy = proxy_for(*self._address[:3])
        by_session = self._address.by_session and target.options.sign
        self._source = DirectorySession(source, self._create_session) if by_session else source
        self._refused_credentials: Credentials | None = None
        self._preparing = anyio.Lock()

    @property
    def ready(self) -> bool:
        """Whether a request can go out without ``prepare``."""
        return self._pool is not None and time.monotonic() < self._renew_at

    @property
    def nests_tls(self) -> bool:
        """Whether TLS is spoken through TLS with a proxy: then no thread can decrypt bodies."""
        return self.proxy is not None and self.proxy.scheme == self._address.scheme == "https"

    @property
    def signature(self) -> Signature:
        """What the next request is signed with."""
        signer = self._signer
        if signer is None:
            return Signature(self._address.region, 0.0, None)
        return Signature(self._address.region, signer.clock_offset_seconds, signer.credentials)

    async def prepare(self) -> None:
        """Get credentials in force and, the first time, what connections need."""
        async with self._preparing:
            if not self.ready:
                self._pool = self._pool or await run_sync(self._make_pool)
                self._take(await self._source.credentials())

    def path_of(self, key: str | None) -> bytes:
        """The path of an object, or of the bucket, as it is signed and sent."""
        if key is None:
            return encode_path(self._address.path.rstrip("/") or "/")
        return encode_path(self._address.path + self.target.full_key(key))

    async def request(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: Body | None,
        *,
        into: memoryview | BlockSink | None,
        max_body_bytes: int,
        check: Callable[[Response], None] | None = None,
        patience_seconds: float = 0.0,
    ) -> Response:
        """Sign and send one request, ``prepare`` done.

        Raises:
            WireError: it was not carried there and back.
        """
        payload = EMPTY_PAYLOAD if body is None else UNSIGNED_PAYLOAD
        if self.target.profile.signs_payloads:
            payload = await payload_hash(body)
        if self._pool is None or self._signer is None:
            raise RuntimeError("prepare() comes first")
        host = self._pool.host_header
        lines = self._signer.sign(method, path, query, host=host, headers=headers, payload_hash=payload)
        target = path + b"?" + query if query else path
        return await self._pool.request(
            method,
            target,
            lines,
            body,
            into=into,
            max_body_bytes=max_body_bytes,
            check=check,
            patience_seconds=patience_seconds,
        )

    async def correct(self, refusal: Refusal, response: Response, made: set[str], signature: Signature) -> str | None:
        """Mend what a refusal complains of, each kind once a request; its name, or None where nothing can be mended.

        Args:
            signature: What the request was signed with. Where another request has mended the same meanwhile, there is
                nothing to do but to ask again.
        """
        if "region" not in made and await self._move(refusal, signature):
            return "region"
        if "clock" not in made and self._correct_clock(refusal, response, signature):
            return "clock"
        if "credentials" not in made and _may_have_expired(refusal):
            return "credentials" if await self._renew(signature) else None
        return None

    async def aclose(self) -> None:
        """Close every connection. Safe to repeat."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _create_session(self, credentials: Credentials) -> Credentials:
        """Begin a session with a directory bucket: those credentials, for SESSION_SECONDS."""
        operation = Asked(self.target, "CREATE SESSION")
        if self._pool is None:
            raise RuntimeError("a session needs connections")
        path, query = self.path_of(None), b"session="
        headers = {b"x-amz-create-session-mode": b"ReadWrite", **headers_of_session(self.target.options)}
        signer = Signer(credentials, self._address.region, self._address.service)
        lines = signer.sign(
            b"GET", path, query, host=self._pool.host_header, headers=headers, payload_hash=EMPTY_PAYLOAD
        )
        try:
            response = await self._pool.request(b"GET", path + b"?" + query, lines)
        except WireError as error:
            raise wire_failure(error, operation, None) from error
        if response.status != 200:
            raise refusal_from(response, operation)
        return xml.session_credentials(response.body, operation)

    async def _renew(self, signature: Signature) -> bool:
        """Whether there are other credentials than those that were refused; their source is read again once."""
        async with self._preparing:
            refused = signature.credentials
            if self.signature.credentials == refused != self._refused_credentials:
                self._refused_credentials = refused
                self._take(await self._source.read_again())
            return self.signature.credentials != refused

    def _take(self, credentials: Credentials) -> None:
        self._renew_at = time.monotonic() + RENEW_SECONDS
        if self._signer is None:
            self._signer = Signer(credentials, self._address.region, self._address.service)
        elif credentials != self._signer.credentials:
            self._signer.credentials = credentials

    def _make_pool(self) -> Pool:
        """Blocking: reads the trusted certificates, about 20 ms."""
        scheme, host, port, *_ = self._address
        settings, bundle = self._settings, self.target.profile.ca_bundle or ()
        if self.proxy is not None and self.proxy.scheme == "https":
            self.proxy = self.proxy._replace(ssl_context=trusted_context(*bundle))
        return Pool(
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

    async def _move(self, refusal: Refusal, signature: Signature) -> bool:
        """Sign for the bucket's own region from now on, and at AWS also ask there."""
        region = refusal.bucket_region
        if self._signer is None or not region or not is_region(region) or region == signature.region:
            return False
        if refusal.status not in ELSEWHERE_STATUSES:
            return False
        if region == self._address.region:
            return True
        was, self.target = self._address, self.target._replace(region=region)
        self._address = self.target.address
        offset = self._signer.clock_offset_seconds
        self._signer = Signer(self._signer.credentials, self._address.region, self._address.service)
        self._signer.clock_offset_seconds = offset
        if self._address.host != was.host and self._pool is not None:
            self.proxy = proxy_for(*self._address[:3])
            old, self._pool = self._pool, await run_sync(self._make_pool)
            await old.aclose()
        return True

    def _correct_clock(self, refusal: Refusal, response: Response, signature: Signature) -> bool:
        """Sign by the server's clock from now on, if ours is what it complains of."""
        server = _server_seconds(refusal, response)
        if self._signer is None or server is None:
            return False
        complaint = refusal.code == "RequestTimeTooSkewed" or (refusal.status == 403 and not refusal.code)
        if not complaint or abs(server - time.time() - signature.clock_offset_seconds) < SKEW_SECONDS:
            return False
        if self._signer.clock_offset_seconds == signature.clock_offset_seconds:
            self._signer.correct_clock(server)
        return True


def _may_have_expired(refusal: Refusal) -> bool:
    """Whether other credentials may help; AWS refuses a HEAD with an expired token by a bare 400."""
    return refusal.code in EXPIRED_CODES or (refusal.status == 400 and not refusal.code)


def _server_seconds(refusal: Refusal, response: Response) -> float | None:
    try:
        if refusal.server_time:
            parsed = datetime.fromisoformat(refusal.server_time)
            return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
        header = response.header(b"date")
        return http_seconds(header.decode("latin-1")) if header else None
    except ValueError:
        return None
