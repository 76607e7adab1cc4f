"""Hash one huge file with several threads. Blocking."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from blake3 import blake3

from snapdir.errors import InFluxError, source_error
from snapdir.hashing.files import OPEN_FLAGS
from snapdir.hashing.hasher import Hasher
from snapdir.model.sizes import MIB
from snapdir.model.source import HashedFile, SourceFile, identity_of

HUGE_FILE_BYTES = 256 * MIB
"""From this size on, several threads pay, although they start for each file."""

BLOCK_BYTES = 4 * MIB
"""Read and hashed at once, by all threads together."""

MAX_READERS = 4
"""Each holds a block, so on a host with many cores this bounds the memory."""

_ZEROS = bytes(BLOCK_BYTES // 2)

NextData = Callable[[int, int, int], tuple[int, int]]
"""Start and end of the first data between two offsets of an open file, as ``disk.system.next_data``."""


def hash_huge_file(
    source: SourceFile,
    *,
    threads: int,
    next_data: NextData,
    on_bytes: Callable[[int], None],
    open_file: Callable[[str, int], int] = os.open,
) -> HashedFile:
    """The plain BLAKE3 of one file. Blocks are read ahead, by up to 4 threads; holes are not read.

    Args:
        threads: Threads that hash.
        on_bytes: Called with the length of every block; an exception from it ends the hashing.

    Raises:
        InFluxError: the file vanished or changed between its listing and the end of its read.
        LocalError: it cannot be read.
        RuntimeError: no thread can start that reads.
    Cost: memory for 4 MiB for each reader, and one more.
    """
    try:
        descriptor = open_file(source.file, OPEN_FLAGS)
        try:
            hasher = threaded_blake3(threads)
            readers = min(max(1, threads - 1), MAX_READERS)
            with closing(_blocks(descriptor, source, readers, next_data)) as blocks:
                for block in blocks:
                    hasher.update(block)
                    on_bytes(len(block))
            if identity_of(os.fstat(descriptor)) != source.identity:
                raise InFluxError(source.file)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise source_error(error, source.file) from error
    return HashedFile(source, hasher.hexdigest())


def threaded_blake3(threads: int) -> Hasher:
    """BLAKE3 that hashes each block by several threads; by one if no other can start."""
    try:
        return blake3(max_threads=threads)
    except BaseException as error:
        # The system allows no further thread. This exception of PyO3 is no Exception, and has no name to import.
        if type(error).__name__ != "PanicException":
            raise
        return blake3()


def _blocks(
    descriptor: int, source: SourceFile, readers: int, next_data: NextData
) -> Generator[memoryview, None, None]:
    """The content of a file. A block is valid until the next one."""
    size = source.content_bytes
    offset = 0
    with ThreadPoolExecutor(readers, thread_name_prefix="snapdir-read") as pool:
        reader = _Reader(descriptor, source, readers, pool)
        while offset < size:
            start, end = next_data(descriptor, offset, size)
            for hole in range(offset, start, len(_ZEROS)):
                yield memoryview(_ZEROS)[: start - hole]
            yield from reader.blocks(start, end)
            offset = end


class _Reader:
    """Reads ranges of a file ahead of its caller, in other threads."""

    def __init__(self, descriptor: int, source: SourceFile, count: int, pool: ThreadPoolExecutor) -> None:
        self._descriptor = descriptor
        self._source = source
        self._pool = pool
        self._buffers = deque(memoryview(bytearray(BLOCK_BYTES)) for _ in range(count + 1))

    def blocks(self, start: int, end: int) -> Iterator[memoryview]:
        reading: deque[tuple[memoryview, Future[None]]] = deque()
        offsets = iter(range(start, end, BLOCK_BYTES))
        while True:
            while self._buffers and (offset := next(offsets, None)) is not None:
                block = self._buffers.popleft()
                reading.append((block, self._pool.submit(self._read, block[: end - offset], offset)))
            if not reading:
                return
            block, read = reading.popleft()
            read.result()
            yield block[: min(BLOCK_BYTES, end - start)]
            start += BLOCK_BYTES
            self._buffers.append(block)

    def _read(self, block: memoryview, offset: int) -> None:
        while block:
            length = os.preadv(self._descriptor, [block], offset)
            if length == 0:
                raise InFluxError(self._source.file)
            block, offset = block[length:], offset + length
