"""Files under temporary names in an open directory."""

from __future__ import annotations

import os
import stat

from snapdir.disk.clone import copy_contents
from snapdir.disk.directories import HANDLE_FLAGS, DirectoryHandle, change_mode, remove_tree

__all__ = ["READ_FLAGS", "TEMPORARY_FLAGS", "copy_across", "create_anew", "set_file_mode", "write_at"]

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
TEMPORARY_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def create_anew(name: str, staging: DirectoryHandle) -> int:
    """A new file to read and write, in place of whatever has that name."""
    try:
        return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)
    except FileExistsError:
        remove_tree(name, dir_fd=staging.fd)
        return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)


def set_file_mode(name: str, directory: DirectoryHandle, mode: int) -> None:
    """Set a file's mode through a descriptor: chmod by name would follow a link."""
    fd = os.open(name, READ_FLAGS, dir_fd=directory.fd)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def copy_across(source: str, source_directory: DirectoryHandle, target: str, target_directory: DirectoryHandle) -> None:
    """Copy a file with its mode to a new name in another directory, durably. It becomes readable to its owner."""
    handle = DirectoryHandle(os.open(source, HANDLE_FLAGS | os.O_NOFOLLOW, dir_fd=source_directory.fd))
    mode = stat.S_IMODE(os.fstat(handle.fd).st_mode)
    change_mode(handle.fd, mode | 0o400)
    source_fd = os.open(source, READ_FLAGS, dir_fd=source_directory.fd)
    try:
        target_fd = os.open(target, TEMPORARY_FLAGS, 0o600, dir_fd=target_directory.fd)
        try:
            copy_contents(source_fd, target_fd, os.fstat(source_fd).st_size)
            os.fchmod(target_fd, mode)
            os.fsync(target_fd)  # ``sync`` flushes the filesystem of the root only
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """All of ``data`` at ``offset`` of an open file."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
