"""Descriptors of open files, and how many more this process may open."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec

from snapdir.disk.system import count_descriptors
from snapdir.errors.local import OUT_OF_DESCRIPTORS

RESERVED = 16
"""Left to the loop, the catalog, Python's imports and the rest of the process."""

MIN_SHARE = 2

MIN_OPEN_FILES = 32
"""Every verb works with this many."""


class Handle:
    """An open file or directory. It closes with its last reference, so that no thread meets a reused descriptor."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.fd >= 0:
            close(self.fd)


def share_of_descriptors(max_count: int, max_open_files: int = 0) -> int:
    """``max_count``, or a quarter of the descriptors that may still be opened, if that is less; at least 2.

    The quarters are for connections, the files they fill or send, directories of a destination, and a second store.
    Blocking: about 20 µs.

    Args:
        max_open_files: Descriptors for a whole transfer, besides those of the process; 0 for what the process may open.
    """
    free = free_descriptors()
    if max_open_files:
        free = max_open_files if free is None else min(free, max_open_files)
    return max_count if free is None else max(MIN_SHARE, min(max_count, (free - RESERVED) // 4))


def free_descriptors() -> int | None:
    """How many more this process may open; None for any number."""
    limit = open_files_limit()
    if limit is None:
        return None
    try:
        return limit - count_descriptors()
    except OSError as error:
        return 0 if error.errno in OUT_OF_DESCRIPTORS else limit


def none_left() -> bool:
    """Whether this process, or the machine, can open no more files: for libraries that report another failure then."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in OUT_OF_DESCRIPTORS
    return False


def may_start_uvloop() -> bool:
    """Whether uvloop is installed and safe: it ends the process if it lacks descriptors or memory for its threads."""
    import resource  # not on every system

    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return False
    free = free_descriptors()
    return (free is None or free >= RESERVED) and find_spec("uvloop") is not None


def open_files_limit() -> int | None:
    """The descriptors that this process may have open (RLIMIT_NOFILE); None for any number."""
    import resource  # not on every system

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit
