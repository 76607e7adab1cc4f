"""The limits of this process (``ulimit``), and its encoding of names. Only the program changes them."""

from __future__ import annotations

import os
import resource
import sys
import threading
from contextlib import suppress

from snapdir.model.names import NAMES_ARE_UTF8

TARGET_OPEN_FILES = 16_384
STACK_BYTES = 1 << 20
KEPT_BYTES = 8 << 20
LARGE_BYTES = 64 << 10
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of glibc's malloc.h."""


def adapt_to_limits() -> None:
    """Raise the limit of open files to the hard limit, and save address space if memory is limited.

    The soft limit is low for programs that call select(), which takes no descriptor above 1023. Nothing here calls it:
    event loops and subprocess poll. Other programs that snapdir is a part of may, so the library leaves their limit.
    Store programs inherit the raised one, as those of a shell do after ulimit -n; some of them close every descriptor
    up to it, hence at most 16,384.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = TARGET_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, TARGET_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if memory_is_limited():
        _save_addresses()


def memory_is_limited() -> bool:
    """Whether there is a ``ulimit -v``."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def read_names_as_utf8() -> None:
    """Restart the program in UTF-8 mode if the locale makes Python decode names in another encoding.

    Command line, environment, names and output then do not depend on the locale.
    """
    if not NAMES_ARE_UTF8 and not sys.flags.utf8_mode and sys.executable:
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  # this very program


def keep_standard_descriptors() -> None:
    """Open /dev/null in place of descriptors 0, 1 and 2 that are closed, before a file or a socket gets their number.

    ``sys.stdin``, ``sys.stdout`` and ``sys.stderr`` stay None, so reading and writing them still are errors. Programs
    that snapdir starts inherit /dev/null.
    """
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)


def _save_addresses() -> None:
    """Let threads reserve little, and let large allocations fail first: Python survives those.

    By default a thread reserves 8 MiB for its stack and 64 MiB for its allocations. BLAKE3 and OpenSSL allocate little,
    and end the process if that fails, so some memory is reserved for small allocations.
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
