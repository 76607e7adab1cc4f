"""Rates of hashing and writing on this host, without a store."""

from __future__ import annotations

import os
import tempfile
import time

import anyio.from_thread
import anyio.to_thread
from blake3 import blake3

from snapdir.errors import local_errors
from snapdir.measurement.schedule import Clock
from snapdir.model.sizes import GIB, MIB

HASH_BLOCK_BYTES = 2 * MIB
"""Bytes hashed in one call, as in transfers."""
DISK_BLOCK_BYTES = 4 * MIB
FLUSH_BYTES = 32 * MIB
"""Written between two flushes: little enough for a slow disk to end in time."""
MAX_DISK_BYTES = GIB
FREE_SHARE = 10
"""At most this fraction (1/N) of the disk's free space is written."""


async def hash_rate(content: bytes, *, threads: int, seconds: float, clock: Clock = time.monotonic) -> float:
    """Bytes per second that ``threads`` threads hash together, with the same ``content`` again and again."""
    hashed_bytes: list[int] = []
    limiter = anyio.CapacityLimiter(threads)

    async def hash_in_thread() -> None:
        hashed_bytes.append(await anyio.to_thread.run_sync(_hash_until, content, deadline, clock, limiter=limiter))

    started = clock()
    deadline = started + seconds
    async with anyio.create_task_group() as group:
        for _ in range(threads):
            group.start_soon(hash_in_thread)
    return sum(hashed_bytes) / max(clock() - started, 1e-9)


async def disk_write_rate(directory: str, content: bytes, *, seconds: float, clock: Clock = time.monotonic) -> float:
    """Bytes per second that reach the disk of ``directory``, in a file without a name, which cannot stay behind.

    Returns:
        0 if the disk is nearly full.

    Raises:
        LocalError: the directory cannot be written.
    """
    with local_errors(directory):
        return await anyio.to_thread.run_sync(_write_until, directory, content, seconds, clock)


def _hash_until(content: bytes, deadline: float, clock: Clock) -> int:
    view = memoryview(content)
    hasher = blake3()
    done = 0
    while True:
        for offset in range(0, len(view), HASH_BLOCK_BYTES):
            block = view[offset : offset + HASH_BLOCK_BYTES]
            hasher.update(block)
            done += len(block)
        anyio.from_thread.check_cancelled()
        if clock() >= deadline:
            return done


def _write_until(directory: str, content: bytes, seconds: float, clock: Clock) -> float:
    block = memoryview(content)[:DISK_BLOCK_BYTES]
    free = os.statvfs(directory)
    limit_bytes = min(MAX_DISK_BYTES, free.f_bavail * free.f_frsize // FREE_SHARE)
    written = 0
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        started = clock()
        while written + len(block) <= limit_bytes and (not written or clock() < started + seconds):
            anyio.from_thread.check_cancelled()
            written += _write_and_flush(file.fileno(), block, min(FLUSH_BYTES, limit_bytes - written))
        return written / max(clock() - started, 1e-9)


def _write_and_flush(fd: int, block: memoryview, length: int) -> int:
    written = 0
    while written + len(block) <= length:
        written += os.write(fd, block)
    os.fsync(fd)
    return written
