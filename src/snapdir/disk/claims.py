"""Files that a killed process leaves for the next one: opened by name, and ours only while we hold their lock.

The lock is the kernel's and dies with its holder, so nothing stale can block anybody; where a filesystem has no locks
there is no claim, and so no resume.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

__all__ = ["hold_shared", "is_held_alone", "is_still_at", "open_locked", "try_lock"]

FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_TRIES = 8


def open_locked(path: str | os.PathLike[str], *, directory_fd: int | None = None, mode: int = 0o600) -> int:
    """A descriptor to read and write ``path``, made if it is missing, that no other process has claimed.

    Raises:
        OSError: EWOULDBLOCK if another one has it, EINVAL if it is not plainly a file of its own, or the system's.
    """
    for _ in range(MAX_TRIES):
        descriptor = os.open(path, FLAGS, mode, dir_fd=directory_fd)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            _refuse_foreign(status)
            if status.st_nlink == 1 and is_still_at(path, directory_fd, status):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its holder has just given it another name, or removed it: what has this name now is another file.
        os.close(descriptor)
    raise OSError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))


def hold_shared(descriptor: int) -> None:
    """Say that somebody works in an open directory, for as long as it is open."""
    with suppress(OSError):  # no locks there: then nobody can tell
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_held_alone(descriptor: int) -> bool:
    """Whether nobody else works in an open directory. If so, ``hold_shared`` of others waits until it is closed."""
    return try_lock(descriptor) is not False


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or directory, for as long as it is open; False if another holder has it, None without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


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
