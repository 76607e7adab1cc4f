"""Multipart uploads."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

import anyio

from snapdir.errors import (
    AccessDenied,
    InvalidResponse,
    ObjectNotFound,
    StoreError,
    StoreRefused,
    Throttled,
    TransientStoreError,
)
from snapdir.stores.base import ABORT_SECONDS, Body, body_length
from snapdir.stores.s3 import xml
from snapdir.stores.s3.bucket_headers import headers_of_new
from snapdir.stores.s3.checksums import checksum_of_parts
from snapdir.stores.s3.client import ANSWER, CHECKSUM_ALGORITHM, PAGE, WORK_SECONDS, S3Client
from snapdir.stores.s3.failures import Operation
from snapdir.stores.s3.reading import size_and_checksum
from snapdir.stores.s3.signing import encode_path
from snapdir.stores.s3.xml import UploadedPart

MAX_PARTS = 10_000

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """An upload in the service.

    Attributes:
        checksummed: Its parts carry checksums; S3 requires them for all parts or for none.
        stored: Parts that the service holds already; they are not sent again.
    """

    upload_id: str
    checksummed: bool
    stored: Sequence[UploadedPart] = ()


class S3Upload:
    """See ``Upload``. Parts are numbered from 1; all but the last have the part size of the upload.

    Args:
        ended: Called when the upload is committed or aborted.
    """

    def __init__(
        self,
        client: S3Client,
        key: str,
        begun: Begun,
        *,
        size: int,
        part_bytes: int,
        ended: Callable[[S3Upload], None],
    ) -> None:
        self._client = client
        self._key = key
        self._upload_id = self.resume_token = begun.upload_id
        self._checksummed = begun.checksummed
        self._size = size
        self._part_bytes = part_bytes
        self._ended = ended
        self._stored = {part.number: part for part in begun.stored if part.size == self._expected_length(part.number)}
        self._parts: dict[int, UploadedPart] = {}
        self._is_resumed = bool(begun.stored)
        self._is_completing = False  # the service may be assembling the object, or have finished

    @property
    def held_bytes(self) -> int:
        return sum(part.size for part in (*self._parts.values(), *self._stored.values()))

    async def adopt_part(self, number: int, body: Body) -> bool:
        length = body_length(body)
        stored = self._stored.get(number)
        if stored is None or stored.size != length:
            return False
        crc = await self._crc_of(body)
        del self._stored[number]
        if None not in (crc, stored.crc32c) and crc != stored.crc32c:
            return False
        self._parts[number] = UploadedPart(number, stored.etag, length, crc)
        return True

    async def write_part(self, number: int, body: Body) -> None:
        length = body_length(body)
        self._check_length(number, length)
        if await self.adopt_part(number, body):
            return
        operation = Operation(self._client.target, "PUT", self._key)
        crc = await self._crc_of(body)
        response, crc = await self._client.put(operation, body, crc, query=self._part_query(number))
        if response.body:
            xml.check_written(response.body, operation)
        etag = response.header(b"etag")
        if not etag:
            raise InvalidResponse(f"{operation}: the response to part {number} has no ETag", key=self._key)
        self._parts[number] = UploadedPart(number, etag.decode("latin-1"), length, crc)

    async def _crc_of(self, body: Body) -> int | None:
        return await self._client.checksums.of(body, required=True) if self._checksummed else None

    def _part_query(self, number: int) -> list[tuple[str, str]]:
        return [("partNumber", str(number)), ("uploadId", self._upload_id)]

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        self._check_length(number, length)
        operation = Operation(self._client.target, "COPY", self._key)
        headers = {**copy_source(source), b"x-amz-copy-source-range": b"bytes=%d-%d" % (start, start + length - 1)}
        query = self._part_query(number)
        reception = ANSWER._replace(patience_seconds=WORK_SECONDS)
        response = await self._client.send(
            operation, b"PUT", query=query, headers=headers, body=b"", reception=reception
        )
        etag, crc = xml.copied_etag(response.body, operation, "CopyPartResult")
        self._parts[number] = UploadedPart(number, etag, length, crc)

    def _check_length(self, number: int, length: int) -> None:
        if number < 1 or length != self._expected_length(number):
            raise self._refused(f"part {number} of {length} bytes does not fit")

    def _expected_length(self, number: int) -> int:
        return max(0, min(self._part_bytes, self._size - (number - 1) * self._part_bytes))

    async def commit(self) -> None:
        """Publish the object.

        If the response is lost, the object at the key shows whether the commit succeeded; a commit can be repeated. The
        upload is not aborted until the service has refused the commit.

        Raises:
            StillAtWork: no response in minutes, and no object yet.
        """
        if not self._size and not self._parts:
            await self.write_part(1, b"")  # S3 refuses an upload without parts
        parts = [self._parts[number] for number in sorted(self._parts)]
        if sum(part.size for part in parts) != self._size:
            raise self._refused(f"only {len(parts)} parts have come")
        was_completing, self._is_completing = self._is_completing, True
        try:
            await self._complete(parts)
        except StoreError as error:
            if not await self._is_carried_out(error, parts, was_completing):
                raise
        self._ended(self)

    async def _complete(self, parts: Sequence[UploadedPart]) -> None:
        operation = Operation(self._client.target, "POST", self._key)
        response = await self._client.send(
            operation,
            b"POST",
            query=[("uploadId", self._upload_id)],
            body=xml.completion_body(parts),
            reception=ANSWER._replace(patience_seconds=WORK_SECONDS),
        )
        xml.check_completed(response.body, operation)

    async def abort(self) -> None:
        if self._is_completing:
            self.keep()
            return
        operation = Operation(self._client.target, "DELETE", self._key)
        query = [("uploadId", self._upload_id)]
        xml.check_gone(await self._client.send(operation, b"DELETE", query=query, also=404), operation)
        self._ended(self)

    def keep(self) -> None:
        self._ended(self)

    async def abort_on_close(self) -> None:
        """Abort while the store is being closed, within ABORT_SECONDS. A failure is a warning, not an error."""
        reason: object = None
        with anyio.move_on_after(ABORT_SECONDS, shield=True) as scope:
            try:
                await self.abort()
            except StoreError as error:
                reason = error
        if scope.cancelled_caught:
            reason = f"no response within {ABORT_SECONDS} s"
        if reason is None:
            return
        log.warning(
            "%s: upload %s was not aborted: %s; its parts stay until a lifecycle rule removes them",
            self._key,
            self._upload_id,
            reason,
        )

    async def _is_carried_out(self, error: StoreError, parts: Sequence[UploadedPart], was_completing: bool) -> bool:
        """Whether a commit has published the object in spite of this error."""
        if isinstance(error, TransientStoreError) and not isinstance(error, Throttled):
            # An earlier push may have left a damaged object of that length: the upload must no longer exist either.
            return await self._is_as_sent(parts) and await self._is_gone()
        # The service has responded: only an earlier commit can still be at work.
        is_gone = isinstance(error, StoreRefused) and error.error_code == "NoSuchUpload"
        self._is_completing = was_completing and not is_gone
        return is_gone and (was_completing or self._is_resumed) and await self._is_as_sent(parts)

    async def _is_gone(self) -> bool:
        try:
            async for _ in list_parts(self._client, self._key, self._upload_id):
                return False
        except StoreRefused as error:
            return error.error_code == "NoSuchUpload"
        except StoreError:  # unknown: the next commit will show
            return False
        return False

    async def _is_as_sent(self, parts: Sequence[UploadedPart]) -> bool:
        """Whether the object has the right length and, where the service keeps one, the right checksum."""
        try:
            size, kept = await size_and_checksum(self._client, self._key)
        except StoreError:
            return False
        expected = checksum_of_parts([part.crc32c for part in parts])
        is_comparable = expected is not None and "-" in kept
        return size == self._size and (kept == expected or not is_comparable)

    def _refused(self, reason: str) -> StoreRefused:
        return StoreRefused(
            f"{self._key}: {reason} in an upload of {self._size} bytes in parts of {self._part_bytes}", key=self._key
        )


def copy_source(source: str) -> dict[bytes, bytes]:
    """The header that names the source of a copy: bucket, slash, key."""
    return {b"x-amz-copy-source": encode_path(f"/{source}")}


async def begin(client: S3Client, key: str, resume: str | None) -> Begun:
    """Create an upload, or continue ``resume`` if its parts can be listed."""
    stored = None if resume is None else await _stored_parts(client, key, resume)
    if resume is not None and stored is not None:
        return Begun(resume, client.checksums.accepted, stored)
    operation = Operation(client.target, "POST", key)
    headers = headers_of_new(client.target.options, key)
    checksummed = client.checksums.accepted
    if checksummed:
        headers = {**headers, CHECKSUM_ALGORITHM: b"CRC32C"}
    response = await client.send(operation, b"POST", query=[("uploads", "")], headers=headers)
    upload_id = xml.upload_id(response.body, operation)
    if "checksum" in response.corrections:
        await client.checksums.note_refusal()
    return Begun(upload_id, checksummed and "checksum" not in response.corrections)


async def _stored_parts(client: S3Client, key: str, upload_id: str) -> Sequence[UploadedPart] | None:
    """The parts of an earlier upload; None if it no longer exists, or may not be listed."""
    parts: list[UploadedPart] = []
    pages = 0
    try:
        async for page in list_parts(client, key, upload_id):
            parts += page
            pages += 1
            if max(pages, len(parts)) > MAX_PARTS:
                raise InvalidResponse(f"{key}: more parts are listed than an upload can have")
    except (AccessDenied, StoreRefused, ObjectNotFound):
        return None
    return parts


async def list_parts(client: S3Client, key: str, upload_id: str) -> AsyncIterator[Sequence[UploadedPart]]:
    operation = Operation(client.target, "LIST", key)
    marker: str | None = ""
    while marker is not None:
        query = [("uploadId", upload_id)] + ([("part-number-marker", marker)] if marker else [])
        response = await client.send(operation, b"GET", query=query, reception=PAGE)
        page, marker = xml.part_page(response.body, operation, marker)
        yield page
