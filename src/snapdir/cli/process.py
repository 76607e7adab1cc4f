"""The limits of this process (``ulimit``): raised where it may raise them, and kept to where memory is limited.

Only the program does this. A library leaves the limits of its process alone.
"""

from __future__ import annotations

import resource
import threading
from contextlib import suppress

__all__ = ["adapt_to_limits", "memory_is_limited"]

WANTED_FILES = 16_384
STACK_BYTES = 1 << 20
KEPT_BYTES = 8 << 20
LARGE_BYTES = 64 << 10
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of glibc's malloc.h."""


def adapt_to_limits() -> None:
    """Allow as many open files as the hard limit does, and live with a limit of memory (``ulimit -v``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if memory_is_limited():
        _save_addresses()


def memory_is_limited() -> bool:
    """Whether there is a ``ulimit -v``."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _save_addresses() -> None:
    """Let threads reserve little, and let large allocations fail first: Python survives those.

    A thread reserves 8 MiB for its stack and 64 MiB for its allocations otherwise. BLAKE3 and OpenSSL ask for little,
    and end the process when they do not get it; so some memory is kept that only small allocations can have.
    """
    import ctypes

    threading.stack_size(STACK_BYTES)
    with suppress(OSError, AttributeError):  # not glibc
        library = ctypes.CDLL(None)
        library.malloc.restype = ctypes.c_void_p
        library.free.argtypes = [ctypes.c_void_p]
        library.mallopt(M_ARENA_MAX, 1)
        library.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        library.mallopt(M_MMAP_THRESHOLD, 2 * KEPT_BYTES)
        library.free(library.malloc(KEPT_BYTES))
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
