"""Files under temporary names in an open directory."""

from __future__ import annotations

import os

from snapdir.disk.clone import copy_contents
from snapdir.disk.directories import DirectoryHandle, remove_tree
from snapdir.disk.modes import set_mode

__all__ = ["READ_FLAGS", "TEMPORARY_FLAGS", "copy_across", "create_anew"]

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
TEMPORARY_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def create_anew(name: str, staging: DirectoryHandle) -> int:
    """A new file to read and write, in place of whatever has that name."""
    try:
        return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)
    except FileExistsError:
        remove_tree(name, dir_fd=staging.fd)
        return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)


def copy_across(source_fd: int, target: str, target_directory: DirectoryHandle, mode: int) -> bool:
    """Copy an open file to a new name in another directory; False where its mode is refused."""
    target_fd = os.open(target, TEMPORARY_FLAGS, 0o600, dir_fd=target_directory.fd)
    try:
        copy_contents(source_fd, target_fd, os.fstat(source_fd).st_size)
        return set_mode(target_fd, mode)
    finally:
        os.close(target_fd)
