"""Paths of any length, although a system call takes 4,095 bytes of one (macOS: 1,023). Blocking.

Each function tries the path as it is. If that is too long, the directories on the way are opened piece by piece.
"""

from __future__ import annotations

import errno
import os

from snapdir.disk.directories import DirectoryHandle
from snapdir.disk.system import HANDLE_FLAGS

PIECE_CHARACTERS = 1000
"""At most 4,000 bytes: short enough for Linux, and for macOS where names are ASCII."""


def open_file(path: str, flags: int) -> int:
    """os.open, of an existing file or directory."""
    try:
        return os.open(path, flags)
    except OSError as error:
        near, directory = _near(path, error)
    return os.open(near, flags, dir_fd=directory.fd)


def status_of(path: str, *, follow_symlinks: bool = True) -> os.stat_result:
    """os.stat, or os.lstat."""
    try:
        return os.stat(path) if follow_symlinks else os.lstat(path)
    except OSError as error:
        near, directory = _near(path, error)
    return os.stat(near, dir_fd=directory.fd, follow_symlinks=follow_symlinks)


def read_link(path: str) -> str:
    """os.readlink."""
    try:
        return os.readlink(path)
    except OSError as error:
        near, directory = _near(path, error)
    return os.readlink(near, dir_fd=directory.fd)


def _near(path: str, error: OSError) -> tuple[str, DirectoryHandle]:
    """The last piece of a path that is too long, and the open directory it starts in.

    Raises:
        OSError: ``error``, which is not about the length of a path.
    """
    if error.errno != errno.ENAMETOOLONG:
        raise error
    handle = DirectoryHandle(os.open("/" if path.startswith("/") else ".", HANDLE_FLAGS | os.O_DIRECTORY))
    path = path.lstrip("/")
    while len(path) > PIECE_CHARACTERS and (end := path.rfind("/", 1, PIECE_CHARACTERS)) > 0:
        handle = DirectoryHandle(os.open(path[:end], HANDLE_FLAGS | os.O_DIRECTORY, dir_fd=handle.fd))
        path = path[end + 1 :]
    return path, handle
