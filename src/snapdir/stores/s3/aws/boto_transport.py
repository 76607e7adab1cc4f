"""An S3 store's requests over aiobotocore."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
from anyio.to_thread import run_sync

from snapdir.errors import ConnectionFailed, InvalidResponse, ObjectNotFound, StoreError, StoreRefused
from snapdir.stores.base import Body, BodyCutShort, ObjectInfo, checked_range
from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.aws.boto_answers import (
    NOT_S3,
    copied,
    list_page,
    must_be_s3,
    object_info,
    refused_deletion,
    required,
    uploaded_parts,
)
from snapdir.stores.s3.aws.boto_body import BodyStream
from snapdir.stores.s3.aws.boto_failures import translate
from snapdir.stores.s3.aws.boto_rate_floor import BotoRateFloor
from snapdir.stores.s3.aws.control import Control
from snapdir.stores.s3.checksums import encoded, is_confirmed
from snapdir.stores.s3.failures import Asked
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.ranges import body_length_of, range_header
from snapdir.stores.s3.transport import MAX_READ_BYTES, WORK_SECONDS, ListPage, UploadedPart

__all__ = ["BotoTransport"]

DELETE_BATCH = 1000
NO_BATCHES = frozenset({"InvalidRequest", "MalformedXML", "MethodNotAllowed", "MissingContentMD5", "NotImplemented"})
"""Codes with which services refuse DeleteObjects: unknown, without Content-MD5, or with keys that XML cannot hold."""

SUCCESS = {"get_object": (200, 206), "delete_object": (200, 204), "abort_multipart_upload": (200, 204)}
"""Any other request is answered with a 200 when it did what it was asked: a write that gets a 204 stored nothing."""

CLOSE_SECONDS = 5.0


class BotoTransport:
    """See ``Transport``. About 1 ms of CPU a request, and 1.5 to 2.6 s a GiB."""

    encrypted = False  # bodies are decrypted by the loop, whatever the endpoint
    compares = False

    def __init__(self, control: Control) -> None:
        settings = control.settings
        self._control = control
        self._client = control.client
        self._target = control.target
        self._timeouts = Timeouts(
            stall_seconds=settings.stall_timeout_seconds, min_bytes_per_second=settings.min_rate_bytes
        )
        # From here to the end of a short answer. aiohttp has finer limits of its own, but none for a name look-up, nor
        # for a server that stops taking a body.
        self._answer_seconds = (
            settings.connect_timeout_seconds + settings.first_byte_timeout_seconds + settings.stall_timeout_seconds
        )
        # As many as the pool has connections, and before it: waiting for one is not waiting for the store.
        self._slots = anyio.CapacityLimiter(control.concurrency)

    async def head(self, key: str, *, checksum: bool = False) -> ObjectInfo:
        asked = Asked(self._target, "HEAD", key)
        mode = {"ChecksumMode": "ENABLED"} if checksum else {}
        answer = await self._call(asked, "head_object", Key=self._target.full_key(key), **mode)
        return object_info(asked, answer)

    async def size_and_checksum(self, key: str) -> tuple[int, str]:
        return (await self.head(key)).size, ""

    async def get(self, key: str, *, start: int, length: int | None) -> bytes:
        asked = Asked(self._target, "GET", key)
        collected = bytearray()
        most_bytes = MAX_READ_BYTES if length is None else length

        async def take(block: bytes) -> None:
            checked_range(key, len(collected) + len(block), most_bytes)
            collected.extend(block)

        await self._receive(asked, start, length, take)
        return bytes(collected)

    async def get_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        received = 0

        async def take(block: bytes) -> None:
            nonlocal received
            end = checked_range(key, received + len(block), len(buffer))
            buffer[received:end] = block
            received = end

        try:
            await self._receive(Asked(self._target, "GET", key), start, len(buffer), take)
        except ConnectionFailed as error:
            if not received:
                raise
            raise BodyCutShort(error.args[0], key=key, received=received) from error
        return received

    async def get_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        filled = received = 0
        begin = sink.consumed

        async def take(data: bytes) -> None:
            nonlocal filled, received
            received = checked_range(key, received + len(data), length)
            while data:
                piece = data[: len(sink.block) - filled]
                sink.block[filled : filled + len(piece)] = piece
                filled, data = filled + len(piece), data[len(piece) :]
                if filled == len(sink.block):
                    await run_sync(sink.put, filled)
                    filled = 0

        try:
            await self._receive(Asked(self._target, "GET", key), start, length, take)
        except ConnectionFailed as error:
            if sink.consumed == begin:
                raise
            raise BodyCutShort(error.args[0], key=key, received=0) from error
        if filled:
            await run_sync(sink.put, filled)

    async def put(self, key: str, body: Body, *, crc32c: int | None, if_absent: bool) -> bool:
        asked = Asked(self._target, "PUT", key)
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        try:
            answer = await self._send(asked, "put_object", body, crc32c, Key=self._target.full_key(key), **condition)
        except StoreRefused as error:
            if if_absent and error.status == 412:
                return False
            raise
        must_be_s3(asked, answer)
        return True

    async def copy(self, key: str, source: str) -> None:
        asked = Asked(self._target, "COPY", key)
        place = {"Key": self._target.full_key(key), "CopySource": _copy_source(source)}
        answer = await self._call_within(WORK_SECONDS, asked, "copy_object", **place)
        copied(asked, answer, "CopyObjectResult")

    async def list_page(self, prefix: str, *, start_after: str, token: str | None) -> ListPage:
        asked = Asked(self._target, "LIST")
        place: dict[str, str] = {"Prefix": self._target.full_key(prefix)}
        if token is not None:
            place["ContinuationToken"] = token
        elif start_after:
            place["StartAfter"] = self._target.full_key(start_after)
        return list_page(asked, prefix, await self._call(asked, "list_objects_v2", **place))

    async def delete(self, keys: Sequence[str]) -> None:
        if len(keys) == 1:
            await self._delete_one(keys[0])
            return
        for first in range(0, len(keys), DELETE_BATCH):
            batch = keys[first : first + DELETE_BATCH]
            try:
                await self._delete_batch(batch)
            except StoreRefused as error:
                if error.error_code not in NO_BATCHES:
                    raise
                for key in batch:
                    await self._delete_one(key)

    async def create_upload(self, key: str, *, checksums: bool) -> str:
        asked = Asked(self._target, "CREATE UPLOAD", key)
        algorithm = {"ChecksumAlgorithm": "CRC32C"} if checksums else {}
        answer = await self._call(asked, "create_multipart_upload", Key=self._target.full_key(key), **algorithm)
        return str(required(asked, answer, "UploadId"))

    async def put_part(self, key: str, upload_id: str, number: int, body: Body, *, crc32c: int | None) -> str:
        asked = Asked(self._target, f"PUT PART {number}", key)
        place = {"Key": self._target.full_key(key), "UploadId": upload_id, "PartNumber": number}
        answer = await self._send(asked, "upload_part", body, crc32c, **place)
        return str(required(asked, answer, "ETag"))

    async def copy_part(
        self, key: str, upload_id: str, number: int, source: str, *, start: int, length: int
    ) -> UploadedPart:
        asked = Asked(self._target, f"COPY PART {number}", key)
        answer = await self._call_within(
            WORK_SECONDS,
            asked,
            "upload_part_copy",
            Key=self._target.full_key(key),
            UploadId=upload_id,
            PartNumber=number,
            CopySource=_copy_source(source),
            CopySourceRange=f"bytes={start}-{start + length - 1}",
        )
        etag, crc32c = copied(asked, answer, "CopyPartResult")
        return UploadedPart(number, etag, length, crc32c)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        asked = Asked(self._target, "COMPLETE UPLOAD", key)
        answer = await self._call_within(
            WORK_SECONDS,
            asked,
            "complete_multipart_upload",
            Key=self._target.full_key(key),
            UploadId=upload_id,
            MultipartUpload={"Parts": [_part(part) for part in parts]},
        )
        required(asked, answer, "ETag")

    async def abort_upload(self, key: str, upload_id: str) -> None:
        asked = Asked(self._target, "ABORT UPLOAD", key)
        place = {"Key": self._target.full_key(key), "UploadId": upload_id}
        try:
            await self._call(asked, "abort_multipart_upload", **place)
        except ObjectNotFound:
            return
        except StoreRefused as error:
            if error.error_code != "NoSuchUpload":
                raise

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[Sequence[UploadedPart]]:
        asked = Asked(self._target, "LIST PARTS", key)
        place: dict[str, Any] = {"Key": self._target.full_key(key), "UploadId": upload_id}
        while place:
            answer = await self._call(asked, "list_parts", **place)
            parts, following = uploaded_parts(asked, answer)
            place = {**place, **following} if following else {}
            yield parts

    async def aclose(self) -> None:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._control.aclose()

    async def _delete_one(self, key: str) -> None:
        asked = Asked(self._target, "DELETE", key)
        try:
            await self._call(asked, "delete_object", Key=self._target.full_key(key))
        except ObjectNotFound:  # S3 itself says 204
            return

    async def _delete_batch(self, keys: Sequence[str]) -> None:
        asked = Asked(self._target, "DELETE")
        objects = [{"Key": self._target.full_key(key)} for key in keys]
        answer = await self._call(asked, "delete_objects", Delete={"Objects": objects, "Quiet": True})
        if error := refused_deletion(asked, answer):
            raise error

    async def _call(self, asked: Asked, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return await self._call_within(self._answer_seconds, asked, operation, **parameters)

    async def _call_within(self, seconds: float, asked: Asked, operation: str, **parameters: Any) -> Mapping[str, Any]:
        async with self._slots:
            with _within(asked, seconds):
                return await self._request(asked, operation, parameters)

    async def _request(self, asked: Asked, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        request = getattr(self._client, operation)
        with translate(asked):
            answer: Mapping[str, Any] = await request(Bucket=self._target.bucket, **parameters)
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if status not in SUCCESS.get(operation, (200,)):
            raise InvalidResponse(f"{asked}: unexpected HTTP {status}; {NOT_S3}", key=asked.key)
        return answer

    async def _send(
        self, asked: Asked, operation: str, body: Body, crc32c: int | None, **parameters: Any
    ) -> Mapping[str, Any]:
        """A request with a body. Its time runs anew whenever some of it has left."""
        if crc32c is not None:
            parameters["ChecksumCRC32C"] = encoded(crc32c)
        async with self._slots:
            with _within(asked, self._answer_seconds) as scope:
                floor = BotoRateFloor(asked, self._timeouts)

                def moved() -> None:
                    floor.require(stream.tell())
                    scope.deadline = anyio.current_time() + self._answer_seconds

                stream = BodyStream(body, moved=moved)
                try:
                    answer = await self._request(asked, operation, {**parameters, "Body": stream})
                except StoreError as error:
                    if stream.failure is not None:
                        raise stream.failure from error
                    raise
                finally:
                    await stream.settle()
        if is_confirmed(asked, crc32c, answer.get("ChecksumCRC32C")):
            self.compares = True
        return answer

    async def _receive(
        self, asked: Asked, start: int, length: int | None, take: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """GET a range and pass its blocks on as they come. A range behind the end of the object is empty."""
        wanted = range_header(start, length)
        parameters = {"Key": self._target.full_key(asked.key or "")} | ({"Range": wanted} if wanted else {})
        async with self._slots:
            with _within(asked, self._answer_seconds) as scope:
                try:
                    answer = await self._request(asked, "get_object", parameters)
                except StoreRefused as error:
                    if error.status == 416:
                        return
                    raise
                body = answer["Body"].raw_stream
                floor = BotoRateFloor(asked, self._timeouts)
                try:
                    must_be_s3(asked, answer)
                    expected = body_length_of(
                        asked,
                        start=start,
                        length=length,
                        content_range=answer.get("ContentRange"),
                        content_length=answer.get("ContentLength"),
                    )
                    received = 0
                    while block := await self._block(asked, body, scope):
                        received += len(block)
                        floor.require(received)
                        await take(block)
                        floor.skip()
                finally:
                    body.close()  # ends the connection unless the body was read to its end
        if expected is not None and received < expected:
            raise ConnectionFailed(f"{asked}: the body ended after {received} of {expected} bytes", key=asked.key)

    async def _block(self, asked: Asked, body: Any, scope: anyio.CancelScope) -> bytes:
        scope.deadline = anyio.current_time() + self._timeouts.stall_seconds
        with translate(asked):
            block: bytes = await body.content.readany()
        return block


@contextmanager
def _within(asked: Asked, seconds: float) -> Iterator[anyio.CancelScope]:
    """Fail if the block takes longer, or than what is left when its deadline is moved on."""
    with anyio.move_on_after(seconds) as scope:
        yield scope
    if scope.cancelled_caught:
        raise ConnectionFailed(f"{asked}: nothing moved for too long (limit {seconds:g} s)", key=asked.key)


def _copy_source(source: str) -> dict[str, str]:
    bucket, _, key = source.partition("/")
    return {"Bucket": bucket, "Key": key}


def _part(part: UploadedPart) -> dict[str, Any]:
    checksum = {} if part.crc32c is None else {"ChecksumCRC32C": encoded(part.crc32c)}
    return {"PartNumber": part.number, "ETag": part.etag, **checksum}
