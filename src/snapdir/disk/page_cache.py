"""What a file gives at once. For a loop, which must not wait for a disk."""

from __future__ import annotations

import errno
import os

from snapdir.disk.filesystems import is_in_memory

__all__ = ["is_at_hand", "read_at_hand"]

PROBE_BYTES = 256 << 10
"""How far apart pages are probed: 16 probes of 0.7 µs for 4 MiB. Holes between are one short read."""


def read_at_hand(fd: int, offset: int, buffer: bytearray) -> bool:
    """Fill ``buffer`` from ``offset`` if all of it is in memory.

    False also where that cannot be known (NFS), where the file is too short, and where it cannot be read: a thread that
    tries again will say.
    """
    try:
        return os.preadv(fd, [buffer], offset, os.RWF_NOWAIT) == len(buffer)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or not is_in_memory(fd):
            return False
    try:
        return os.preadv(fd, [buffer], offset) == len(buffer)
    except OSError:
        return False


def is_at_hand(fd: int, offset: int, length: int) -> bool:
    """Whether these bytes are in memory, as far as probes tell; False where that cannot be known (NFS)."""
    probe = [bytearray(1)]
    try:
        for at in range(offset, offset + length, PROBE_BYTES):
            os.preadv(fd, probe, at, os.RWF_NOWAIT)
        os.preadv(fd, probe, offset + length - 1, os.RWF_NOWAIT)
    except OSError as error:
        return error.errno == errno.EOPNOTSUPP and is_in_memory(fd)
    return True
