"""Setting the modes of files and directories, on filesystems that allow it. Blocking."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_IMODE, S_ISDIR, S_ISGID

from snapdir.disk.system import chmod_descriptor

SPECIAL = 0o7000
REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of chmod on CIFS, FAT and FUSE, and on files of another user."""
NAMED = 3


class RefusedModes:
    """Paths whose mode could not be set: their number, and the first of them. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._first: list[str] = []

    def add(self, path: str) -> None:
        with self._lock:
            self._count += 1
            if self._count <= NAMED:
                self._first.append(path)

    def warnings(self) -> list[str]:
        """One line that counts and names them; empty if every mode was set."""
        if not self._count:
            return []
        more = f" and {self._count - NAMED} more" if self._count > NAMED else ""
        named = ", ".join(self._first) + more
        return [f"the mode of {self._count} path(s) could not be set ({named}); their content is complete"]


def set_mode(fd: int, mode: int) -> bool:
    """Set the mode of an open file; False if that is refused, or special bits of it are dropped."""
    try:  # not with ``refusable``: this runs for every file
        os.fchmod(fd, mode)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
    else:
        if not mode & SPECIAL:
            return True
    return S_IMODE(os.fstat(fd).st_mode) == mode


def change_mode(fd: int, mode: int, *, keep_group_bit: bool = True) -> bool:
    """Set the mode of an open file or directory, also with O_PATH; False if that is refused.

    Nothing is written if it has the mode already: a filesystem may be mounted read-only.

    Args:
        keep_group_bit: A directory keeps its set-group-id bit. A chmod by a process outside its group would remove the
            bit, so that counts as refused.
    """
    status = os.fstat(fd)
    kept = status.st_mode & S_ISGID if keep_group_bit and S_ISDIR(status.st_mode) else 0
    full_mode = mode | kept
    if S_IMODE(status.st_mode) == full_mode:
        return True
    if kept and not is_member_of(status.st_gid):
        return False
    with refusable():
        chmod_descriptor(fd, full_mode)
    return S_IMODE(os.fstat(fd).st_mode) == full_mode


def relax(fd: int) -> None:
    """Give the owner rwx on an open directory, if this user is the owner. A refusal is ignored."""
    status = os.fstat(fd)
    mode = S_IMODE(status.st_mode)
    if mode & 0o700 != 0o700 and status.st_uid == os.geteuid():
        change_mode(fd, mode | 0o700)


def is_member_of(group: int) -> bool:
    """Whether this process may set a set-group-id bit for ``group``."""
    return os.geteuid() == 0 or group == os.getegid() or group in os.getgroups()


@contextmanager
def refusable() -> Iterator[None]:
    """Ignore the errors by which a chmod is refused."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
