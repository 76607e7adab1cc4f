"""Links as the files of a tree: read and placed without following any. Blocking."""

from __future__ import annotations

import errno
import os

from snapdir.disk.destination import ABSENT
from snapdir.disk.directories import OpenDirectories, checked_name, remove_tree
from snapdir.disk.staging import STAGING_NAME
from snapdir.errors import local_error
from snapdir.model.paths import Names

__all__ = ["place_link", "read_link"]


def read_link(directories: OpenDirectories, names: Names) -> str | None:
    """The text of the link at ``names``; None if there is none."""
    try:
        return os.readlink(checked_name(names), dir_fd=directories.get(names[:-1]).fd)
    except OSError as error:
        if error.errno in ABSENT or error.errno == errno.EINVAL:  # EINVAL: something else stands there
            return None
        raise local_error(error, directories.path_of(names)) from error


def place_link(directories: OpenDirectories, text: str, names: Names) -> None:
    """Put a link that says ``text`` in the place of whatever file, link or empty directory stands at ``names``.

    Atomic, except over a directory. The directory above must exist.

    Raises:
        DestinationConflict: a directory with something in it stands there; it stays.
    """
    # Beside its place rather than in the staging directory, so that a filesystem mounted in the tree is no obstacle.
    beside = f"{STAGING_NAME}-{os.urandom(8).hex()}"
    name = checked_name(names)
    try:
        parent = directories.get(names[:-1]).fd
        os.symlink(text, beside, dir_fd=parent)
        try:
            _rename(directories, beside, names, name, parent)
        except BaseException:
            remove_tree(beside, dir_fd=parent)
            raise
    except OSError as error:
        raise local_error(error, directories.path_of(names)) from error


def _rename(directories: OpenDirectories, beside: str, names: Names, name: str, parent: int) -> None:
    try:
        os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EISDIR:
            raise
        directories.remove_empty(names)
        os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
