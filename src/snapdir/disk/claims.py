"""Files that a killed process leaves to the next one: opened by name, and used only under their lock.

The kernel drops the lock with the process that holds it, so a stale lock cannot block other processes. On filesystems
without locks nothing is resumed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_TRIES = 8


def open_locked(path: str | os.PathLike[str], *, directory_fd: int | None = None) -> int:
    """A descriptor to read and write ``path``, made if it is missing, under an exclusive lock.

    Raises:
        OSError: EWOULDBLOCK if another process holds the lock, EINVAL for anything but a regular file with one name, or
            an error of the system.
    """
    for _ in range(MAX_TRIES):
        descriptor = os.open(path, FLAGS, 0o600, dir_fd=directory_fd)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            _refuse_foreign(status)
            if status.st_nlink == 1 and is_still_at(path, directory_fd, status):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Another process has just renamed or removed it: another file has this name now.
        os.close(descriptor)
    raise OSError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))


@contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Hold the lock called ``path``, for processes of any user; waits for others. Blocking.

    Raises:
        OSError: the file of the lock cannot be made, or the filesystem has no locks.
    """
    while True:
        descriptor = _opened_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_still_at(path, None, os.fstat(descriptor)):  # else the one before has removed it
                try:
                    yield
                finally:
                    with suppress(OSError):
                        os.unlink(path)
                return
        finally:
            os.close(descriptor)


def _opened_lock(path: str) -> int:
    try:
        return os.open(path, FLAGS, 0o666)  # NFS locks only what is open for writing
    except PermissionError:
        return os.open(path, FLAGS & ~(os.O_RDWR | os.O_CREAT))  # made by another user


def hold_shared(descriptor: int) -> None:
    """Take a shared lock on a directory, for as long as it is open."""
    with suppress(OSError):  # a filesystem without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or directory, for as long as it is open; False if it is locked already, None without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def unlock(descriptor: int) -> None:
    """Give a lock back before its file is closed: an error on its way up keeps the file open for longer."""
    with suppress(OSError):  # a filesystem without locks
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_still_at(path: str | os.PathLike[str], directory_fd: int | None, status: os.stat_result) -> bool:
    """Whether ``path`` names the file with this status."""
    try:
        named = os.stat(path, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (status.st_dev, status.st_ino)


def _refuse_foreign(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
