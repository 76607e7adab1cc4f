"""Paths of any length, although a system call takes 4,095 bytes of one (macOS: 1,023). Blocking.

Each function tries the path as it is. If that is too long, the directories on the way are opened piece by piece.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from snapdir.disk.directories import DirectoryHandle
from snapdir.disk.system import HANDLE_FLAGS

PIECE_CHARACTERS = 1000
"""At most 4,000 bytes: short enough for Linux, and for macOS where names are ASCII."""


class FarEntry(NamedTuple):
    """Replaces os.DirEntry if the path is too long. Each method makes system calls."""

    name: str
    path: str

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return status_of(self.path, follow_symlinks=follow_symlinks)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISDIR(self.stat(follow_symlinks=follow_symlinks).st_mode)


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


def far_entries(directory: str) -> list[FarEntry]:
    """The entries of a directory whose path may be too long."""
    opened = DirectoryHandle(open_file(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    return [FarEntry(name, f"{directory.rstrip('/')}/{name}") for name in os.listdir(opened.fd)]


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
