"""Descriptors of open files, and how many more this process may open."""

from __future__ import annotations

import os
from collections.abc import Callable

from snapdir.disk.system import count_descriptors
from snapdir.errors.local import OUT_OF_DESCRIPTORS

RESERVED = 16
"""Left to the loop, the catalog, Python's imports and the rest of the process."""

MIN_SHARE = 2


class Handle:
    """An open file or directory. It closes with its last reference, so that no thread meets a reused descriptor."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.fd >= 0:
            close(self.fd)


def share_of_descriptors(max_count: int) -> int:
    """``max_count``, or a quarter of the descriptors that this process may still open, if that is less; at least 2.

    The quarters are for connections, the files they fill or send, directories of a destination, and a second store.
    Blocking: about 20 µs.
    """
    import resource  # not on every system

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return max_count
    try:
        in_use = count_descriptors()
    except OSError as error:
        in_use = limit if error.errno in OUT_OF_DESCRIPTORS else 0
    return max(MIN_SHARE, min(max_count, (limit - in_use - RESERVED) // 4))
