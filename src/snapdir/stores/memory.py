"""A store in memory. It keeps every promise of a store, and ends with the process."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
from anyio.lowlevel import checkpoint

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import InFluxError, ObjectNotFound, StoreRefused
from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.tree import digest_of
from snapdir.model.sizes import TIB
from snapdir.stores.base import Body, Capabilities, FileRange, NoServerCopy, NotResumable, ObjectInfo, Page
from snapdir.stores.blocks import BlockSink, read_blocks

CAPABILITIES = Capabilities(part_size_range=(1, 48 * TIB), conditional_write=True, remote=False)


@dataclass(slots=True)
class MemoryStore(NoServerCopy):
    """Bytes at keys in a dict.

    Attributes:
        objects: The stored objects, for tests to look at and change.
        capabilities: Anything, to test planners.
        clock: The time when an object is written, in Unix seconds.
        listed_by: The sort key of a listing.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    capabilities: Capabilities = CAPABILITIES
    url: str = "memory://"
    clock: Callable[[], float] = time.time
    listed_by: Callable[[str], str] = str
    _modified: dict[str, float] = field(default_factory=dict, repr=False)

    async def stat(self, key: str) -> ObjectInfo:
        data = await self._existing(key)
        return self._info(key, data)._replace(crc32c=crc32c(data))

    async def list(
        self,
        prefix: str,
        *,
        start_after: str = "",
        resume: str | None = None,  # noqa: ARG002  # gives none
    ) -> AsyncIterator[Page]:
        # Code point order is the order of the UTF-8 bytes.
        listed = (key for key in self.objects if key.startswith(prefix) and key > start_after)
        keys = sorted(listed, key=self.listed_by)
        size = self.capabilities.list_page_keys
        await checkpoint()
        for first in range(0, len(keys), size):
            page = Page(self._info(key, self.objects[key]) for key in keys[first : first + size] if key in self.objects)
            if page:
                yield page
                await checkpoint()

    async def folders(self, prefix: str) -> Sequence[str]:
        await checkpoint()
        rests = (key[len(prefix) :] for key in self.objects if key.startswith(prefix))
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        data = await self._existing(key)
        return data[start:] if length is None else data[start : start + length]

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        data = await self.read(key, start=start, length=len(buffer))
        buffer[: len(data)] = data
        return len(data)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        await read_blocks(lambda view, at: self.read_into(key, view, start=at), sink, start=start, length=length)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        if if_absent and key in self.objects:
            await checkpoint()
            return False
        data = await read_body(body)
        if if_absent and key in self.objects:
            return False
        self._put(key, data)
        return True

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        await checkpoint()
        present = self.objects.get(key)
        if present == old:
            self._put(key, new)
        return present in (old, new)

    async def begin_upload(
        self,
        key: str,
        *,
        size: int,
        part_bytes: int,
        resume: str | None = None,  # noqa: ARG002  # gives no tokens
    ) -> MemoryUpload:
        await checkpoint()
        return MemoryUpload(lambda data: self._put(key, data), key, size, part_bytes)

    async def flush(self) -> None:
        await checkpoint()

    async def delete(self, keys: Sequence[str]) -> None:
        await checkpoint()
        for key in keys:
            self.objects.pop(key, None)

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002
        return None

    def batch_writer(self) -> None:
        return None

    async def aclose(self) -> None:
        """Nothing to release; the objects stay."""

    async def _existing(self, key: str) -> bytes:
        await checkpoint()
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectNotFound(key) from None

    def _info(self, key: str, data: bytes) -> ObjectInfo:
        return ObjectInfo(key, len(data), self._modified.get(key))

    def _put(self, key: str, data: bytes) -> None:
        self.objects[key] = data
        self._modified[key] = self.clock()


class MemoryUpload(NoServerCopy, NotResumable):
    """Parts in a dict until they are committed."""

    def __init__(self, put: Callable[[bytes], None], key: str, size: int, part_bytes: int) -> None:
        self._put = put
        self._key = key
        self._size = size
        self._count = -(-size // part_bytes)
        self._parts: dict[int, bytes] = {}

    async def write_part(self, number: int, body: Body) -> None:
        data = await read_body(body)
        if not 1 <= number <= self._count:
            raise StoreRefused(f"{self._key}: part {number} of an upload of {self._count}", key=self._key)
        self._parts[number] = data

    async def commit(self) -> None:
        await checkpoint()
        data = b"".join(part for _, part in sorted(self._parts.items()))
        if len(self._parts) != self._count or len(data) != self._size:
            raise StoreRefused(
                f"{self._key}: {len(data)} bytes in {len(self._parts)} parts, not {self._size} in {self._count}",
                key=self._key,
            )
        self._put(data)

    async def abort(self) -> None:
        self._parts.clear()


async def read_body(body: Body) -> bytes:
    """All bytes of a body, copied."""
    if isinstance(body, FileRange):
        return await anyio.to_thread.run_sync(_read_range, body)
    await checkpoint()
    return bytes(body)


def _read_range(body: FileRange) -> bytes:
    data = b""
    while len(data) < body.length:
        block = os.pread(body.fd, body.length - len(data), body.offset + len(data))
        if not block:
            raise InFluxError(path_of_descriptor(body.fd), "shrank")
        data += block
    if body.check is not None:
        body.check()
    if body.digest not in (None, digest_of(data)) or body.crc32c not in (None, crc32c(data)):
        raise InFluxError(path_of_descriptor(body.fd))
    return data
