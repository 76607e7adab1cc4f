"""Calls that only some systems have, each with a replacement. Other modules use these functions only.

Linux has all of them. macOS, other systems, old kernels and sandboxes (for example without /proc) lack some.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import readlink  # by name: a check for blocking calls need not look, /proc waits for no disk
from pathlib import Path

from snapdir.disk.cgroups import cgroup_cpus

MOUNTS = Path("/proc/self/mountinfo")
"""The mounts of this process. Without it, no filesystem is known to be local or in memory."""

_DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
_HAS_HANDLES = hasattr(os, "O_PATH") and _DESCRIPTORS == "/proc/self/fd"

HANDLE_FLAGS = (os.O_PATH if _HAS_HANDLES else os.O_RDONLY) | os.O_CLOEXEC
"""O_PATH needs no read permission on a directory, and it opens a symbolic link or a FIFO without touching it."""

NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)
"""For ``os.preadv``: read only what is in memory. None if the system has no such flag."""

CANNOT_CLONE = frozenset(
    {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EBADF}
)
_CANNOT_COPY_IN_KERNEL = CANNOT_CLONE | {errno.ETXTBSY, errno.EPERM, errno.EISDIR}
_FICLONE = 0x40049409
_BLOCK_BYTES = 512  # of st_blocks
_COPIED_BYTES = 256 << 10


def reflink(source_fd: int, target_fd: int) -> bool:
    """Make the target share all blocks of the source; False, and nothing done, if that is not possible."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as error:
        if error.errno in CANNOT_CLONE:
            return False
        raise
    return True


def copy_in_kernel(source_fd: int, target_fd: int, count: int, offset: int, target_offset: int) -> int:
    """Bytes that the kernel copied; 0 if it cannot, or if the source ends."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source_fd, target_fd, count, offset, target_offset)
    except OSError as error:
        if error.errno in _CANNOT_COPY_IN_KERNEL:
            return 0
        raise


def has_holes(fd: int) -> bool:
    """Whether a file may have holes: it takes less room than its length, as a compressed file does too."""
    status = os.fstat(fd)
    return status.st_blocks * _BLOCK_BYTES < status.st_size


def next_data(fd: int, offset: int, end: int) -> tuple[int, int]:
    """Start and end of the first data in ``[offset, end)`` of a file; ``(end, end)`` if all of that is a hole.

    On filesystems that do not know, all of it is data. The position of ``fd`` moves.
    """
    try:
        start = os.lseek(fd, offset, os.SEEK_DATA)
        return (start, min(end, os.lseek(fd, start, os.SEEK_HOLE))) if start < end else (end, end)
    except AttributeError:
        return offset, end
    except OSError as error:
        return (end, end) if error.errno == errno.ENXIO else (offset, end)


def sync_filesystem_of(fd: int) -> None:
    """Flush the filesystem of an open file; elsewhere every filesystem, and then the file, which reports errors."""
    import ctypes  # 1.6 ms of start-up that most commands do not need

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        os.fsync(fd)
    elif syncfs(ctypes.c_int(fd)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def chmod_descriptor(fd: int, mode: int) -> None:
    """Set the mode of an open file or directory, also with HANDLE_FLAGS (fchmod refuses O_PATH)."""
    if _HAS_HANDLES:
        os.chmod(f"{_DESCRIPTORS}/{fd}", mode)
    else:
        os.fchmod(fd, mode)


def open_again(fd: int, flags: int) -> int:
    """Open the file of ``fd`` again, with flags and a position of its own.

    Raises:
        OSError: the system has no directory of descriptors; the caller then uses ``fd`` itself.
    """
    return os.open(f"{_DESCRIPTORS}/{fd}", flags)


def path_of_descriptor(descriptor: int) -> str:
    """The path of an open file, for messages. No disk access."""
    try:
        return readlink(f"{_DESCRIPTORS}/{descriptor}")
    except OSError:
        return f"file descriptor {descriptor}"


def count_descriptors() -> int:
    """How many descriptors this process has open; 0 if that is unknown.

    Raises:
        OSError: no descriptor is left to count them with.
    """
    try:
        return len(os.listdir(_DESCRIPTORS))
    except FileNotFoundError:
        return 0


@contextmanager
def inherited_file(content: bytes) -> Iterator[tuple[str, list[int]]]:
    """A file for a child: the path it opens, and the descriptors it inherits. In memory if possible."""
    if _HAS_HANDLES and hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("snapdir")
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(content)
            yield f"{_DESCRIPTORS}/{descriptor}", [descriptor]
        return
    import tempfile  # 5 ms of start-up that most commands do not need

    with tempfile.NamedTemporaryFile(prefix="snapdir-") as file:
        file.write(content)
        file.flush()
        yield file.name, []


def more_follows() -> int:
    """The flag for ``socket.send`` that announces more data; 0 if the system has none."""
    import socket

    return getattr(socket, "MSG_MORE", 0)


def _send_by_copy(socket_fd: int, fd: int, offset: int, length: int) -> int:
    return os.write(socket_fd, os.pread(fd, min(length, _COPIED_BYTES), offset))


send_file = getattr(os, "sendfile", _send_by_copy)
"""``os.sendfile`` to a socket, by (socket, file, offset, length); the bytes it took."""


def expect_reads(fd: int, offset: int, length: int) -> None:
    """Have the kernel read ahead, if it can."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)


def usable_cpus() -> int:
    """Processors that this process may run on, or that a quota lets it keep busy, if those are fewer."""
    quota = cgroup_cpus()
    return present_cpus() if quota is None else min(present_cpus(), max(1, math.ceil(quota)))


def present_cpus() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
