"""The files of a tree in batches, the small ones hashed: on the loop while that is quick, else in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import anyio.to_thread

from snapdir.model.sizes import KIB, MIB
from snapdir.model.source import HashedFile, SourceFile
from snapdir.transfer.engine.loop_budget import LoopBudget
from snapdir.transfer.snapshot import TreeReader

BATCH_BYTES = 4 * MIB
"""Content kept of one batch of small files."""

LOOP_FILE_BYTES = 64 * KIB
"""If the files of a batch are larger than this on average, a thread gains more by reading and hashing beside the loop
than it loses by taking the interpreter lock again after each of the four system calls of a file."""

LOOP_FILES = 8
"""Files between looks at the clock: a disk that takes 0.1 s per file holds the loop up for 0.8 s every 1,000 files.

Nothing else runs in between: a batch of 64 from the page cache takes 0.8 to 1.7 ms."""

READ_SECONDS = 75e-6
"""The allowance of a file on the loop: 16 KiB take 12 to 26 µs from the page cache. Files from a disk take longer, and
are better read in a thread."""


class _Batch(NamedTuple):
    """``hashed`` is None if ``small`` is left to the loop."""

    small: list[SourceFile]
    hashed: list[HashedFile] | None
    large: list[SourceFile]


class HashedBatches:
    """Iterate over it for (hashed small files with their content, large files). For one event loop.

    Args:
        store: Called with every batch in the thread that hashed it; then nothing is hashed on the loop.
        clock: Measures how long hashing keeps the loop.

    Raises:
        WalkFailed, UnsafeName, InFluxError, LocalError: as TreeReader does.
    Cancellation: when a batch is walked, or hashed.
    """

    def __init__(
        self,
        reader: TreeReader,
        batch_files: int,
        *,
        store: Callable[[list[HashedFile]], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._reader = reader
        self._batches = reader.batches(batch_files, BATCH_BYTES)
        self._store = store
        self._clock = clock
        self._loop_budget = LoopBudget(READ_SECONDS)

    def __aiter__(self) -> HashedBatches:
        return self

    async def __anext__(self) -> tuple[list[HashedFile], list[SourceFile]]:
        # Walking stays in a thread: it costs one hop per batch, and a directory may have a million names.
        batch = await anyio.to_thread.run_sync(self._walk)
        if batch is None:
            raise StopAsyncIteration
        return await self._hash_quickly(batch.small) if batch.hashed is None else batch.hashed, batch.large

    def _walk(self) -> _Batch | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        small, large = batch
        small_bytes = sum([source.content_bytes for source in small])
        if self._store is None and small_bytes <= LOOP_FILE_BYTES * len(small):
            return _Batch(small, None, large)
        hashed = self._hash(small)
        if self._store is not None:
            self._store(hashed)
        return _Batch(small, hashed, large)

    async def _hash_quickly(self, small: list[SourceFile]) -> list[HashedFile]:
        hashed: list[HashedFile] = []
        for first in range(0, len(small), LOOP_FILES):
            if not self._loop_budget.admits(len(small) - first):
                return hashed + await anyio.to_thread.run_sync(self._hash, small[first:])
            hashed += self._hash_here(small[first : first + LOOP_FILES])
        return hashed

    def _hash_here(self, small: list[SourceFile]) -> list[HashedFile]:
        began = self._clock()
        hashed = self._hash(small)
        self._loop_budget.took(self._clock() - began, len(small))
        return hashed

    def _hash(self, small: list[SourceFile]) -> list[HashedFile]:
        return self._reader.hash_small(small, keep_data=True)
