"""Objects read like files: whole and verified, verified on the way, or in ranges as they come."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Literal, Protocol, get_args

import anyio.to_thread
from blake3 import blake3

from snapdir.disk.sparse import write_at
from snapdir.errors import CorruptObject, InvalidOption, local_errors, ungrouped
from snapdir.hashing.files import hash_descriptor
from snapdir.model.digest import EMPTY_DIGEST, Digest
from snapdir.repository.repository import Repository
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import Part, parts_of
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.engine.ranges import RangeReader
from snapdir.transfer.engine.true_size import with_true_size

Verify = Literal["before", "after", "never"]
"""When the bytes of an object are verified; ``Snapshot.open`` describes each."""

RANGES_AT_ONCE = 4
"""Concurrent requests of one read."""


class Content(Protocol):
    """The bytes of one object. For one task at a time.

    Attributes:
        size: Their number; before the first read that of the manifest, which only the hash proves.
    """

    size: int

    async def read_at(self, offset: int, length: int | None = None) -> bytes:
        """Up to ``length`` bytes from ``offset`` (None: to the end); fewer only at the end."""

    def close(self) -> None:
        """Release memory and descriptors, at once. Safe to repeat."""


class ObjectReader:
    """Opens the objects of one repository. All reads share ``limits.memory_bytes``.

    Args:
        spool: The directory for large objects, in files without a name. Made when needed.
    """

    def __init__(self, source: Repository, limits: Limits, *, spool: Path) -> None:
        self._source = source
        self._limits = limits
        self._spool = spool
        self._memory = ByteBudget(limits.memory_bytes)
        self._ranges = RangeReader(source, limits, Counters(), memory=self._memory)

    async def open(self, planned: PlannedObject, verify: Verify) -> Content:
        """Open an object.

        Raises:
            InvalidOption: another ``verify``.
            ObjectNotFound: the store has no such object (found out here if the size is looked up).
            CorruptObject: with ``never``, it is shorter than the manifest says.
        Cost: one request unless the size is certain and ``verify`` is ``before``.
        """
        if verify not in get_args(Verify):
            raise InvalidOption(f"verify is before, after or never, not {verify!r}")
        if planned.digest == EMPTY_DIGEST:
            return _Whole(b"")
        if verify == "before" and planned.size is not None:
            return _Verified(self, planned, planned.size)
        size = await self._source.object_size(planned.digest)
        if size is None:
            raise self._source.lacks(planned.digest, planned.path)
        if verify == "never":
            if planned.size is not None and size < planned.size:
                raise self.damaged(planned.digest, f"an object of {size} bytes")
            return _Ranges(self, planned.digest, size)
        if verify == "after" and size > self._limits.large_bytes:
            return _Stream(self, planned.digest, size)
        return _Verified(self, PlannedObject(planned.digest, size, planned.path), size)

    async def verified(self, planned: PlannedObject) -> Content:
        """The whole of an object, verified: a small one in memory, a large one in a file.

        Raises:
            ObjectNotFound, CorruptObject: it is absent, or hashes to something else.
            LocalError: there is no space for a large one.
        """
        return await with_true_size(self._source, planned, lambda size: self._verified(planned.digest, size))

    async def _verified(self, digest: Digest, size: int) -> Content:
        if size <= self._limits.large_bytes:
            async with self._memory.share(size):
                return _Whole(await self._source.read_object(digest, size))
        local = self._source.local_object(digest)
        if local is not None:
            return await anyio.to_thread.run_sync(self._verified_in_place, digest, size, local)
        return await self._spooled(digest, size)

    def _verified_in_place(self, digest: Digest, size: int, path: Path) -> Content:
        """The object's own file, opened and then hashed: later reads return the bytes that were hashed."""
        with local_errors(path), ExitStack() as stack:
            try:
                file = stack.enter_context(path.open("rb", buffering=0))
            except FileNotFoundError as error:
                raise self._source.lacks(digest) from error
            hashed, length = hash_descriptor(file.fileno(), between=check_cancelled)
            if length != size or hashed != digest:
                actual = hashed if length == size else f"an object of {length} bytes"
                raise self._source.damaged(digest, actual)
            stack.pop_all()
        return _File(file, size, path)

    async def _spooled(self, digest: Digest, size: int) -> Content:
        file = await anyio.to_thread.run_sync(self._open_spool)

        async def write(part: Part, data: memoryview) -> None:
            with local_errors(self._spool):
                await anyio.to_thread.run_sync(write_at, file.fileno(), data, part.offset)

        try:
            with ungrouped(f"read {digest}"):
                await self._ranges.read_verified(digest, size, write)
        except BaseException:
            file.close()
            raise
        return _File(file, size, self._spool)

    def _open_spool(self) -> IO[bytes]:
        with local_errors(self._spool):
            self._spool.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._spool, buffering=0)

    async def ranges(self, digest: Digest, buffer: memoryview, start: int, *, is_last: bool = False) -> None:
        """Fill ``buffer`` from ``start`` by concurrent requests, when there is memory for it. Not verified.

        Args:
            is_last: As for ``Repository.read_range_into``.
        """
        end = start + len(buffer) - is_last

        async def read(part: Part) -> None:
            within = part.offset - start
            ends = is_last and part.offset + part.length == end
            view = buffer[within : within + part.length + ends]
            await self._source.read_range_into(digest, view, start=part.offset, is_last=ends)

        parts = list(parts_of(end, self._limits.part_bytes, start=start))
        with ungrouped(f"read {digest}"):
            async with self._memory.share(len(buffer)):
                await run_workers(parts, read, workers=RANGES_AT_ONCE)

    @property
    def stretch_bytes(self) -> int:
        """Bytes that a stream holds at once."""
        return min(RANGES_AT_ONCE * self._limits.part_bytes, self._limits.memory_bytes)

    def damaged(self, digest: Digest, actual: str) -> CorruptObject:
        return self._source.damaged(digest, actual)


class _Whole:
    """An object in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    async def read_at(self, offset: int, length: int | None = None) -> bytes:
        return self._data[offset : offset + _within(self, offset, length)]

    def close(self) -> None:
        self._data = b""


class _File:
    """An open file."""

    def __init__(self, file: IO[bytes], size: int, path: Path) -> None:
        from snapdir.disk.async_files import AsyncReader

        self._file = file
        self._reader = AsyncReader(file)
        self._path = path
        self.size = size

    async def read_at(self, offset: int, length: int | None = None) -> bytes:
        with local_errors(self._path):
            return await self._reader.read_at(offset, _within(self, offset, length))

    def close(self) -> None:
        self._file.close()


class _Verified:
    """An object that is fetched and hashed when it is first read."""

    def __init__(self, reader: ObjectReader, planned: PlannedObject, size: int) -> None:
        self._reader = reader
        self._one = planned
        self._content: Content | None = None
        self.size = size

    async def read_at(self, offset: int, length: int | None = None) -> bytes:
        if self._content is None:
            self._content = await self._reader.verified(self._one)
            self.size = self._content.size
        return await self._content.read_at(offset, length)

    def close(self) -> None:
        if self._content is not None:
            self._content.close()


class _Ranges:
    """An object whose ranges are requested when they are read, and not verified."""

    def __init__(self, reader: ObjectReader, digest: Digest, size: int) -> None:
        self._reader = reader
        self._digest = digest
        self.size = size

    async def read_at(self, offset: int, length: int | None = None) -> bytes:
        rest = _within(self, offset, length)
        collected = bytearray()
        while rest:
            # Memory for the next stretch only: the size may be wrong.
            stretch = memoryview(bytearray(min(self._reader.stretch_bytes, rest)))
            await self._reader.ranges(self._digest, stretch, offset)
            collected += stretch
            offset, rest = offset + len(stretch), rest - len(stretch)
        return bytes(collected)

    def close(self) -> None:
        """Nothing to release."""


class _Stream:
    """An object that is read sequentially and hashed on the way, with one stretch of it in memory."""

    def __init__(self, reader: ObjectReader, digest: Digest, size: int) -> None:
        self._reader = reader
        self._digest = digest
        self._hasher = blake3()
        self._stretch = memoryview(b"")
        self._start = 0
        self.size = size

    async def read_at(self, offset: int, length: int | None = None) -> bytes:
        rest = _within(self, offset, length)
        pieces = []
        while rest:
            piece = await self._next(offset, rest)
            pieces.append(piece)
            offset, rest = offset + len(piece), rest - len(piece)
        return b"".join(pieces)

    async def _next(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes of this stretch, or of the next one."""
        if offset == self._start + len(self._stretch):
            await self._advance(offset)
        within = offset - self._start
        if not 0 <= within < len(self._stretch):
            raise ValueError('verify="after" supports sequential reads only')
        return bytes(self._stretch[within : within + length])

    async def _advance(self, start: int) -> None:
        """Fetch and hash the next stretch. The last one is kept only if the whole object is right."""
        self._start, self._stretch = start, memoryview(b"")
        length = min(self._reader.stretch_bytes, self.size - start)
        is_last = start + length == self.size
        buffer = memoryview(bytearray(length + is_last))
        await self._reader.ranges(self._digest, buffer, start, is_last=is_last)
        stretch = buffer[:length]
        await anyio.to_thread.run_sync(self._hasher.update, stretch)
        if start + len(stretch) == self.size and (actual := self._hasher.hexdigest()) != self._digest:
            raise self._reader.damaged(self._digest, actual)
        self._stretch = stretch

    def close(self) -> None:
        self._stretch = memoryview(b"")


def _within(content: Content, offset: int, length: int | None) -> int:
    """Bytes of ``content`` in a range from ``offset``."""
    rest = max(0, content.size - offset)
    return rest if length is None else min(length, rest)
