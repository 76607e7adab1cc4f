"""This process: its limits (``ulimit``), raised or kept to, and how it reads names.

Only the program does this. A library leaves its process alone.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from contextlib import suppress

from snapdir.model.names import NAMES_ARE_UTF8

__all__ = ["adapt_to_limits", "memory_is_limited", "read_names_as_utf8"]

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


def read_names_as_utf8() -> None:
    """Start the program anew where the locale has Python read names in another encoding: names are bytes.

    Command line, environment, names and output are then what they are anywhere else.
    """
    if not NAMES_ARE_UTF8 and not sys.flags.utf8_mode and sys.executable:
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  # this very program


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
