"""Descriptors of open files: how many this process may still open, and what is behind one."""

from __future__ import annotations

import os
from os import readlink  # by name: a check for blocking calls need not look, /proc waits for no disk

from snapdir.errors.local import OUT_OF_DESCRIPTORS

__all__ = ["path_of_descriptor", "share_of_descriptors"]

RESERVED = 16
"""Left to the loop, the catalog, Python's imports and whatever else the process does."""

FEWEST = 2


def share_of_descriptors(most: int) -> int:
    """``most``, or a quarter of the descriptors that this process may still open, if that is less; at least 2.

    One quarter each is for connections, the files they fill or send, directories of a destination, and a second store.
    Blocking: reads /proc, about 20 µs.
    """
    import resource  # not on every system

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return most
    try:
        in_use = len(os.listdir("/proc/self/fd"))
    except OSError as error:
        in_use = limit if error.errno in OUT_OF_DESCRIPTORS else 0  # else there is no /proc to count with
    return max(FEWEST, min(most, (limit - in_use - RESERVED) // 4))


def path_of_descriptor(descriptor: int) -> str:
    """The path of an open file, for messages."""
    try:
        return readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"file descriptor {descriptor}"
