"""A request body for botocore and aiohttp that is read block by block, and never after its request is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import anyio

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import InFluxError, SnapdirError, local_error
from snapdir.hashing.crc32c import crc32c
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Body, FileRange, body_length

__all__ = ["BodyStream"]

BLOCK_BYTES = (64 * KIB, MIB)
"""Bytes of one read and one write. In large ones a GiB takes 0.8 s of CPU, in small ones 2.0; on a slow line only small
ones show in time that something moves."""

QUICK_SECONDS = 1.0
"""A block that leaves within this may be followed by one of twice its size."""


class BodyStream:
    """``body`` as botocore (length, seek, read) and aiohttp (asynchronous blocks) want it.

    At most one block is in memory, besides what the socket has not taken yet. A buffer is copied block by block: a
    transport keeps views of what it could not send, and flushes them even after the request was cancelled, when the
    buffer may hold something else already.

    Args:
        moved: Called before each block is read, and once after the last one left.

    Attributes:
        failure: Why the body could not be read; the request's own error only says that it broke off.
    """

    def __init__(self, body: Body, *, moved: Callable[[], None] = lambda: None) -> None:
        self._length = body_length(body)
        self._source = body if isinstance(body, FileRange) else memoryview(body).cast("B")
        self._moved = moved
        self._position = 0
        self._crc = 0
        self._block_bytes = BLOCK_BYTES[0]
        self._asked_at = 0.0
        self._ended = False
        self._reading: asyncio.Future[bytes] | None = None
        self.failure: SnapdirError | None = None

    def __len__(self) -> int:
        return self._length

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = base + position
        self._crc = 0
        return self._position

    def read(self, length: int = -1) -> bytes:
        """For botocore where it signs the payload itself. Blocks."""
        rest = self._length - self._position
        block = self._block(rest if length < 0 else min(length, rest))
        self._position += len(block)
        return block

    def __aiter__(self) -> BodyStream:
        self.seek(0)
        return self

    async def __anext__(self) -> bytes:
        self._moved()
        loop = asyncio.get_running_loop()
        length = min(self._next_block_bytes(loop.time()), self._length - self._position)
        if self._ended or not length:
            raise StopAsyncIteration
        if isinstance(self._source, FileRange):
            self._reading = loop.run_in_executor(None, self._block, length)
            # Shielded, because a thread cannot be stopped: settle() waits for it.
            block = await asyncio.shield(self._reading)
        else:
            block = self._block(length)
        self._position += len(block)
        return block

    async def settle(self) -> None:
        """Wait until nothing reads the body any more, and let go of it. Whoever still iterates is at the end now."""
        self._ended = True
        reading, self._reading = self._reading, None
        if reading is not None and not reading.done():
            with anyio.CancelScope(shield=True):
                await asyncio.wait([reading])
        if reading is not None and not reading.cancelled():
            reading.exception()  # seen, so that asyncio does not complain
        if isinstance(self._source, memoryview):
            self._source.release()

    def _next_block_bytes(self, now: float) -> int:
        quick = now - self._asked_at < QUICK_SECONDS
        self._asked_at = now
        smallest, largest = BLOCK_BYTES
        self._block_bytes = min(self._block_bytes * 2, largest) if quick else smallest
        return self._block_bytes

    def _block(self, length: int) -> bytes:
        if isinstance(self._source, memoryview):
            return bytes(self._source[self._position : self._position + length])
        fd = self._source.fd
        try:
            block = os.pread(fd, length, self._source.offset + self._position)
        except OSError as error:
            self.failure = local_error(error, path_of_descriptor(fd))
            raise
        if length and not block:
            self.failure = InFluxError(path_of_descriptor(fd), "shrank")
            raise self.failure
        if self._source.compare:
            self._compare(self._source, block)
        return block

    def _compare(self, source: FileRange, block: bytes) -> None:
        """Keep the last block back unless all of the range, read from its start, has the sum that it should."""
        self._crc = crc32c(block, self._crc)
        if self._position + len(block) >= self._length and self._crc != source.crc32c:
            self.failure = InFluxError(path_of_descriptor(source.fd))
            raise self.failure
