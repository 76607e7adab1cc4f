"""Objects in a bucket of S3 or of a compatible service."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from snapdir.errors import ObjectNotFound, StoreRefused
from snapdir.hashing.crc32c import crc32c
from snapdir.model.keys import MANIFESTS
from snapdir.model.sizes import GIB, MIB
from snapdir.stores.base import Body, Capabilities, FileRange, ObjectInfo, Page
from snapdir.stores.blocks import BlockSink
from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS, BucketOptions
from snapdir.stores.listing import shows_order
from snapdir.stores.s3 import reading, xml
from snapdir.stores.s3.aws.configuration import files_affect_settings
from snapdir.stores.s3.bucket_headers import headers_of_new
from snapdir.stores.s3.checksums import INLINE_BYTES, Checksums, content_md5, encoded
from snapdir.stores.s3.client import ANSWER, CHECKSUM, CONTENT_MD5, NO_HEADERS, PAGE, WORK_SECONDS, S3Client
from snapdir.stores.s3.conditions import IF_ABSENT, Conditions, if_unchanged
from snapdir.stores.s3.credentials import ChainCredentials, EnvironmentCredentials
from snapdir.stores.s3.failures import ErrorResponse, Operation, service_error
from snapdir.stores.s3.in_effect import (
    KEYS_OF_ENVIRONMENT,
    NO_KEYS,
    InEffect,
    log_credentials,
    log_settings,
    settings_of,
)
from snapdir.stores.s3.listing import ListingProgress
from snapdir.stores.s3.target import S3Target
from snapdir.stores.s3.upload import MAX_PARTS, S3Upload, begin, copy_source
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL

PART_SIZE_RANGE = (5 * MIB, 5 * GIB)
MAX_KEYS = 1000
MAX_FOLDER_PAGES = 10
"""A prefix may have millions of keys; stores are found among few."""

DEFAULT_CONCURRENCY = 256


class S3Store:
    """Bytes at keys of a bucket, under a prefix.

    S3 writes an object whole or not at all. A body is sent with its CRC32C if that is known, so that the service
    refuses changed bytes: see ``S3Client.put``. ``aclose`` aborts uploads that were neither committed nor aborted,
    because the service would keep and charge for their parts.

    ``stat`` cannot tell a missing bucket from a missing object (a HEAD has no body): both are ObjectNotFound.
    """

    def __init__(self, client: S3Client, *, max_concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self._client = client
        self._target = target = client.target
        self._lists_in_order = target.lists_in_order
        self._has_options = target.options != NO_BUCKET_OPTIONS
        self._uploads: set[S3Upload] = set()
        is_known = target.is_aws and not target.is_outpost
        self._conditions = Conditions(self._put, target.service_name, are_heeded=True if is_known else None)
        self._capabilities = Capabilities(
            max_concurrency=max_concurrency,
            part_size_range=PART_SIZE_RANGE,
            max_parts=MAX_PARTS,
            max_object_bytes=MAX_PARTS * PART_SIZE_RANGE[1],
            # Other services may ignore the header and report success: rclone overwrites.
            conditional_write=is_known,
            copy_service="" if target.is_arn else f"s3 at {target.endpoint or 'aws'}",
            copy_prefix=f"{target.bucket}/{target.prefix}",
            encrypted=client.encrypted,
        )

    @classmethod
    async def open(cls, url: StoreURL, settings: StoreSettings) -> S3Store:
        """Resolve configuration and credentials. Sends no request.

        Raises:
            InvalidStore: no bucket can have this name.
            InvalidOption: a variable or the AWS profile has a bad value.
            AccessDenied: credentials are configured, but cannot be read.
        """
        keys = EnvironmentCredentials.find(anonymous=not settings.bucket.sign)
        given = S3Target.of(url)._replace(options=settings.bucket)
        target = await run_sync(_completed, given, keys is not None)
        checksums = await run_sync(Checksums, settings.notes_dir, target.service_name)
        concurrency = settings.concurrency(DEFAULT_CONCURRENCY)
        source = keys or ChainCredentials(target)
        log_settings(target, given)
        if keys is not None:
            log_credentials(target.url, KEYS_OF_ENVIRONMENT if settings.bucket.sign else NO_KEYS)
        client = S3Client(target, source, settings, max_connections=concurrency, checksums=checksums)
        return cls(client, max_concurrency=concurrency)

    def __repr__(self) -> str:
        return f"S3Store({self.url!r} at {self._target.service_name!r})"

    @property
    def url(self) -> str:
        return self._target.url

    @property
    def configured_attempts(self) -> int | None:
        """Attempts per request in the AWS configuration (``max_attempts``)."""
        return self._target.profile.max_attempts

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def stat(self, key: str) -> ObjectInfo:
        checksum = self._client.checksums.accepted and key.startswith(MANIFESTS)
        return await reading.stat(self._client, key, checksum=checksum)

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        if prefix.startswith("/"):  # no key begins so, but rclone would list all
            return
        progress = ListingProgress(f"LIST {self._target.named(None)} at {self._target.service_name}")
        # A service that lists in another order would leave out other keys.
        list_after = start_after if self._lists_in_order else ""
        token = resume
        while True:
            page = await self._list_page(prefix, start_after=list_after, token=token)
            if start_after and not (list_after or token) and page.next_token and shows_order(page.objects):
                self._lists_in_order = True
                list_after = start_after
                continue
            token = progress.token_of(page)
            if new := [info for info in progress.new_of(page) if info.key > start_after]:
                yield Page.of(new, token)
            if token is None:
                return

    async def folders(self, prefix: str) -> Sequence[str]:
        found: set[str] = set()
        progress = ListingProgress(f"LIST {self._target.named(None)} at {self._target.service_name}")
        token: str | None = None
        for _ in range(MAX_FOLDER_PAGES):
            page = await self._list_page(prefix, start_after="", token=token, delimiter="/")
            found.update(page.folders)
            token = progress.token_of(page)
            if token is None:
                break
        return sorted(found)

    async def _list_page(
        self, prefix: str, *, start_after: str, token: str | None, delimiter: str = ""
    ) -> xml.ListPage:
        target = self._client.target
        operation = Operation(target, "LIST")
        full_prefix = target.full_key(prefix)
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", full_prefix)]
        if delimiter:
            query.append(("delimiter", delimiter))
        if token:
            query.append(("continuation-token", token))
        elif start_after:
            query.append(("start-after", target.full_key(start_after)))
        response = await self._client.send(operation, b"GET", query=query, reception=PAGE)
        return xml.list_page(response.body, operation, target.prefix, full_prefix)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            await self.stat(key)
            return b""
        return await reading.read(self._client, key, start=start, length=length)

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        if not len(buffer):
            await self.stat(key)
            return 0
        return await reading.read_into(self._client, key, buffer, start=start)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        if not length:
            await self.stat(key)
            return
        await reading.read_through(self._client, key, sink, start=start, length=length)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        """Store ``body``. Without conditional writes, ``if_absent`` looks first.

        Raises:
            InFluxError: the file has changed since it was hashed; nothing is written.
        """
        conditional = if_absent and self._capabilities.conditional_write
        if if_absent and not conditional and await self._is_there(key):
            return False
        return await self._put(key, body, IF_ABSENT if conditional else NO_HEADERS)

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """See ``Store.swap``: a GET for the ETag of ``old``, and a PUT on the condition that it is still there.

        A service other than AWS is tested first, once: it may ignore conditions and report success.
        """
        await self._conditions.require()
        condition = IF_ABSENT
        if old is not None:
            found, etag = await self._read_tagged(key, max(len(old), len(new)) + 1)
            if found != old:
                return found == new
            condition = if_unchanged(etag)
        if await self._put(key, new, condition):
            return True
        return (await self._read_tagged(key, len(new) + 1))[0] == new

    async def _read_tagged(self, key: str, max_bytes: int) -> tuple[bytes | None, bytes]:
        try:
            return await reading.read_tagged(self._client, key, max_bytes)
        except ObjectNotFound:
            return None, b""

    async def _put(self, key: str, body: Body, condition: Mapping[bytes, bytes]) -> bool:
        """Write ``body``; False if the service keeps what is there, because of ``condition``."""
        client = self._client
        if isinstance(body, FileRange) or len(body) > INLINE_BYTES:
            crc = await client.checksums.of(body)
        else:
            crc = crc32c(body) if client.checksums.accepted else None
        headers = headers_of_new(self._target.options, key) if self._has_options else NO_HEADERS
        if condition:
            headers = {**headers, **condition}
        operation = Operation(client.target, "PUT", key)
        try:
            response, _ = await client.put(operation, body, crc, headers=headers, also=412 if condition else 0)
        except ObjectNotFound:
            if not condition:
                raise
            return False  # nothing is there to match
        if response.status == 412:
            return False
        if response.header(b"etag") is None:
            reading.must_be_s3(response, operation)
        if response.body:
            xml.check_written(response.body, operation)
        return True

    async def copy_from(self, key: str, source: str) -> None:
        operation = Operation(self._client.target, "COPY", key)
        headers = {**headers_of_new(self._target.options, key), **copy_source(source)}
        reception = ANSWER._replace(patience_seconds=WORK_SECONDS)
        response = await self._client.send(operation, b"PUT", headers=headers, body=b"", reception=reception)
        xml.copied_etag(response.body, operation, "CopyObjectResult")

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> S3Upload:
        begun = await begin(self._client, key, resume)
        upload = S3Upload(self._client, key, begun, size=size, part_bytes=part_bytes, ended=self._uploads.discard)
        self._uploads.add(upload)
        return upload

    async def flush(self) -> None:
        """Nothing to do: a service stores an object durably before it responds."""

    async def delete(self, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), MAX_KEYS):
            await self._delete_some(keys[first : first + MAX_KEYS])

    async def _delete_some(self, keys: Sequence[str]) -> None:
        target = self._client.target
        if len(keys) == 1:
            operation = Operation(target, "DELETE", keys[0])
            xml.check_gone(await self._client.send(operation, b"DELETE", also=404), operation)
            return
        operation = Operation(target, "DELETE")
        body = xml.delete_body([target.full_key(key) for key in keys])
        # A directory bucket takes no Content-MD5.
        checksum = {CONTENT_MD5: content_md5(body)}
        if target.is_directory:
            checksum = {CHECKSUM: encoded(crc32c(body)).encode()}
        try:
            response = await self._client.send(
                operation,
                b"POST",
                query=[("delete", "")],
                headers=checksum,
                body=body,
                reception=PAGE,
                also=204,
            )
        except StoreRefused as error:
            if error.error_code != "NotImplemented":
                raise
            for key in keys:  # some services know no request for many
                await self._delete_some([key])
            return
        if response.status == 204:
            return
        for key, code, message in xml.deletion_failures(response.body, operation):
            if code != "NoSuchKey":
                named = operation._replace(key=key.removeprefix(target.prefix))
                raise service_error(ErrorResponse(200, code, message), named)

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002  # the shape of every store
        return None

    def batch_writer(self) -> None:
        return None

    async def aclose(self) -> None:
        uploads, self._uploads = self._uploads, set()
        try:
            async with anyio.create_task_group() as group:
                for upload in uploads:
                    group.start_soon(upload.abort_on_close)
        finally:
            await self._client.aclose()

    async def _is_there(self, key: str) -> bool:
        try:
            await self.stat(key)
        except ObjectNotFound:
            return False
        return True


def in_effect(url: StoreURL, bucket: BucketOptions, environment: Mapping[str, str] = os.environ) -> list[InEffect]:
    """The settings for a bucket, and where credentials come from; never the credentials.

    Blocking: reads AWS's files. Sends no request, and runs no program.

    Raises:
        InvalidStore, InvalidOption: the URL or a setting cannot be used.
    """
    keys = EnvironmentCredentials.find(environment, anonymous=not bucket.sign)
    given = S3Target.of(url, environment)._replace(options=bucket)
    target = _completed(given, keys is not None)
    if keys is None:
        from snapdir.stores.s3.aws.chain_failures import expected_source

        credentials = InEffect("credentials", expected_source(target.url, environment), "config")
    elif bucket.sign:
        credentials = InEffect("credentials", KEYS_OF_ENVIRONMENT, "env")
    else:
        credentials = InEffect("credentials", NO_KEYS, "flag")
    return [*settings_of(target, given, environment), credentials]


def _completed(target: S3Target, keys_are_given: bool) -> S3Target:
    """``target`` completed by the AWS configuration. Blocking: may read files.

    With keys and an endpoint, and no setting in the files that counts, botocore is not loaded; that would take 0.15 s.
    """
    is_simple = keys_are_given and target.endpoint is not None and not target.is_arn and not target.is_directory
    if is_simple and not files_affect_settings(os.environ, region_is_given=target.region is not None):
        return target.with_profile(endpoint=None, region=None)
    from snapdir.stores.s3.aws.session import completed_target

    return completed_target(target)
