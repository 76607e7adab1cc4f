"""A large object on its way into a bucket, part by part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from snapdir.errors import StoreError, StoreRefused, Throttled, TransientStoreError
from snapdir.stores.base import ABORT_SECONDS, Body, body_length
from snapdir.stores.s3.checksums import Checksums, checksum_of_parts, compared
from snapdir.stores.s3.transport import Transport, UploadedPart

__all__ = ["S3Upload"]

log = logging.getLogger(__name__)


class S3Upload:
    """See ``Upload``. Parts are numbered from 1 and all but the last have the size the upload was begun with.

    Args:
        checksums: None for an upload whose parts carry none: S3 wants all of them with one, or none.
        stored: Parts that the service holds already; they are not sent again.
        ended: Told when there is nothing left to abort.
    """

    def __init__(
        self,
        transport: Transport,
        checksums: Checksums | None,
        key: str,
        upload_id: str,
        *,
        size: int,
        part_bytes: int,
        stored: Sequence[UploadedPart] = (),
        ended: Callable[[S3Upload], None],
    ) -> None:
        self._transport = transport
        self._checksums = checksums
        self._key = key
        self._upload_id = self.resume_token = upload_id
        self._size = size
        self._part_bytes = part_bytes
        self._ended = ended
        self._stored = {part.number: part for part in stored if part.size == self._expected_length(part.number)}
        self._parts: dict[int, UploadedPart] = {}
        self._is_resumed = bool(stored)
        self._is_completing = False  # the service may be at work on the object, or be done with it

    @property
    def held_bytes(self) -> int:
        return sum(part.size for part in (*self._parts.values(), *self._stored.values()))

    async def adopt_part(self, number: int, body: Body) -> bool:
        length = body_length(body)
        stored = self._stored.get(number)
        if stored is None or stored.size != length:
            return False
        crc = None if self._checksums is None else await self._checksums.of(body, required=True)
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
        sent_crc: int | None = None

        async def put(crc: int | None) -> str:
            nonlocal sent_crc
            sent_crc = crc
            sent = compared(body, by_service=crc is not None and self._transport.compares)
            return await self._transport.put_part(self._key, self._upload_id, number, sent, crc32c=crc)

        if self._checksums is None:
            etag = await put(None)
        else:
            crc = await self._checksums.of(body, required=True)
            etag = await self._checksums.send(body, crc, put)
        self._parts[number] = UploadedPart(number, etag, length, sent_crc)

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        self._check_length(number, length)
        copied = await self._transport.copy_part(self._key, self._upload_id, number, source, start=start, length=length)
        self._parts[number] = copied

    def _check_length(self, number: int, length: int) -> None:
        if number < 1 or length != self._expected_length(number):
            raise self._refused(f"part {number} of {length} bytes does not fit")

    def _expected_length(self, number: int) -> int:
        return max(0, min(self._part_bytes, self._size - (number - 1) * self._part_bytes))

    async def commit(self) -> None:
        """Publish the object.

        A commit whose answer got lost is settled by what is at the key then, and can be repeated. Until the service has
        refused it, nothing aborts the upload.

        Raises:
            StillAtWork: no answer in minutes, and no object yet.
        """
        if not self._size and not self._parts:
            await self.write_part(1, b"")  # S3 takes no upload without parts
        parts = [self._parts[number] for number in sorted(self._parts)]
        if sum(part.size for part in parts) != self._size:
            raise self._refused(f"only {len(parts)} parts have come")
        was_completing, self._is_completing = self._is_completing, True
        try:
            await self._transport.complete_upload(self._key, self._upload_id, parts)
        except StoreError as error:
            if not await self._is_carried_out(error, parts, was_completing):
                raise
        self._ended(self)

    async def abort(self) -> None:
        if self._is_completing:
            self.keep()
            return
        await self._transport.abort_upload(self._key, self._upload_id)
        self._ended(self)

    def keep(self) -> None:
        self._ended(self)

    async def abandon(self) -> None:
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
        """Whether a commit that failed like this has published the object all the same."""
        if isinstance(error, TransientStoreError) and not isinstance(error, Throttled):
            # What an earlier push left may be of that length and damaged: the upload has to be gone too.
            return await self._is_as_sent(parts) and await self._is_gone()
        # The service has answered: nothing is under way but what an earlier commit began.
        is_gone = isinstance(error, StoreRefused) and error.error_code == "NoSuchUpload"
        self._is_completing = was_completing and not is_gone
        return is_gone and (was_completing or self._is_resumed) and await self._is_as_sent(parts)

    async def _is_gone(self) -> bool:
        try:
            async for _ in self._transport.list_parts(self._key, self._upload_id):
                return False
        except StoreRefused as error:
            return error.error_code == "NoSuchUpload"
        except StoreError:  # nobody knows, or it is not ours to look at: the next commit tells
            return False
        return False

    async def _is_as_sent(self, parts: Sequence[UploadedPart]) -> bool:
        """Whether the object is as long as it should be, and what the service keeps of its checksums is right."""
        try:
            size, kept = await self._transport.size_and_checksum(self._key)
        except StoreError:
            return False
        expected = checksum_of_parts([part.crc32c for part in parts])
        is_comparable = expected is not None and "-" in kept
        return size == self._size and (kept == expected or not is_comparable)

    def _refused(self, reason: str) -> StoreRefused:
        return StoreRefused(
            f"{self._key}: {reason} in an upload of {self._size} bytes in parts of {self._part_bytes}", key=self._key
        )
