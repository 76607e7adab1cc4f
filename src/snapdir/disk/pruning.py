"""Entries that do not belong in a tree: found and removed without following a link. Blocking."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Container
from typing import NamedTuple

from snapdir.disk.directories import LIST_FLAGS, NOT_EMPTY, DirectoryHandle, OpenDirectories, checked_name
from snapdir.disk.modes import relax
from snapdir.errors import local_error
from snapdir.model.names import name_for_pattern, name_in_utf8
from snapdir.model.paths import Names

UNREADABLE = frozenset({errno.EACCES, errno.EPERM})

Protection = Callable[[str], bool]
"""Whether a path (``./a/b``, a directory's with a slash at its end) must stay."""


class Extra(NamedTuple):
    """Something to remove."""

    names: Names
    is_directory: bool

    @property
    def path(self) -> str:
        return path_of(self.names, is_directory=self.is_directory)


def path_of(names: Names, *, is_directory: bool) -> str:
    """The path of ``names`` as a manifest writes it."""
    path = "./" + "/".join(names)
    return f"{path}/" if is_directory and names else path


def find_extra(
    directories: OpenDirectories,
    kept: Container[str],
    *,
    is_protected: Protection | None = None,
    ignored: Container[Names] = (),
    is_ignored: Protection | None = None,
    change_modes: bool = False,
    skip_unreadable: bool = False,
) -> list[Extra]:
    """Entries of a tree that are not in ``kept``, in an order in which they can be removed: deepest first.

    Protected entries stay, and so do mount points, and the directories above either.

    Args:
        kept: Paths of a manifest with every directory above them.
        ignored, is_ignored: Paths to pass over, with everything below them.
        change_modes: Give the owner access to extra directories that lack it, for their removal.
        skip_unreadable: Take a directory that cannot be read for an empty one.

    Raises:
        LocalError: a directory cannot be read.
    Cost: about 2 µs per entry.
    """
    search = _Search(
        directories,
        kept,
        is_protected,
        ignored,
        is_ignored=is_ignored,
        change_modes=change_modes,
        skip_unreadable=skip_unreadable,
    )
    search.run([((), False)])
    return search.result()


def find_all(directories: OpenDirectories, top: Extra, *, is_protected: Protection | None) -> list[Extra]:
    """``top`` and the entries below it, as ``find_extra`` does. Directories that lack it get access for their owner.

    Raises:
        LocalError: a directory cannot be read.
    """
    search = _Search(directories, (), is_protected, (), change_modes=True)
    search.run(search.take(top.names, top.is_directory))
    return search.result()


def protected_paths(directories: OpenDirectories, top: Extra, *, is_protected: Protection | None) -> list[str]:
    """The protected paths and mount points at and below ``top``, which keep it from being removed.

    A directory that cannot be read is taken for an empty one.
    """
    search = _Search(directories, (), is_protected, (), skip_unreadable=True)
    search.run(search.take(top.names, top.is_directory))
    return sorted(search.held)


def is_empty_directory(directories: OpenDirectories, extra: Extra) -> bool:
    """Whether it is an empty directory. A directory that cannot be read is taken for a full one."""
    try:
        return extra.is_directory and not _entries(directories.get(extra.names))
    except OSError:
        return False


class _Search:
    def __init__(
        self,
        directories: OpenDirectories,
        kept: Container[str],
        is_protected: Protection | None,
        ignored: Container[Names],
        *,
        is_ignored: Protection | None = None,
        change_modes: bool = False,
        skip_unreadable: bool = False,
    ) -> None:
        self._directories = directories
        self._kept = kept
        self._is_protected = is_protected
        self._ignored = ignored
        self._is_ignored = is_ignored
        self._change_modes = change_modes
        self._skip_unreadable = skip_unreadable
        self.held: list[str] = []
        self._extra: list[Extra] = []
        self._stays: set[Names] = set()

    def run(self, pending: list[tuple[Names, bool]]) -> None:
        """Look through directories, each of which is extra itself or not."""
        while pending:
            names, is_extra = pending.pop()
            for name, is_directory in self._listing(names, is_extra=is_extra):
                pending += self.take((*names, name), is_directory)

    def _listing(self, names: Names, *, is_extra: bool) -> list[tuple[str, bool]]:
        try:
            handle = self._directories.get(names)
            if is_extra and self._change_modes:
                relax(handle.fd)
            return _entries(handle)
        except OSError as error:
            gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
            if gone or (self._skip_unreadable and error.errno in UNREADABLE):
                return []
            raise local_error(error, self._directories.path_of(names)) from error

    def take(self, names: Names, is_directory: bool) -> list[tuple[Names, bool]]:
        """Note what to do with an entry; the directory to look into, if it is one."""
        path = path_of(names, is_directory=is_directory)
        if names in self._ignored or (self._is_ignored is not None and self._is_ignored(name_for_pattern(path))):
            self._keep(names)
            return []
        if path in self._kept:
            return [(names, False)] if is_directory else []
        if self._is_protected is not None and self._is_protected(name_for_pattern(path)):
            self.held.append(path)
            self._keep(names)
        elif is_directory and self._is_mount(names):
            self.held.append(path)
            self._keep(names)
            return []
        self._extra.append(Extra(names, is_directory))
        return [(names, True)] if is_directory else []

    def result(self) -> list[Extra]:
        removable = [extra for extra in self._extra if extra.names not in self._stays]
        return sorted(removable, key=lambda extra: (-len(extra.names), extra.path.encode(errors="surrogateescape")))

    def _keep(self, names: Names) -> None:
        while names and names not in self._stays:
            self._stays.add(names)
            names = names[:-1]

    def _is_mount(self, names: Names) -> bool:
        try:
            parent = self._directories.get(names[:-1])
            device = os.stat(checked_name(names), dir_fd=parent.fd, follow_symlinks=False).st_dev
            return device != os.fstat(parent.fd).st_dev
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return False
            raise local_error(error, self._directories.path_of(names)) from error


def _entries(directory: DirectoryHandle) -> list[tuple[str, bool]]:
    """The names in a directory, and whether each is a directory."""
    opened = DirectoryHandle(os.open(".", LIST_FLAGS, dir_fd=directory.fd))
    with os.scandir(opened.fd) as entries:
        # While it is open: on some filesystems is_dir has to look the entry up.
        return [(name_in_utf8(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]


def remove_extra(directories: OpenDirectories, extra: Extra) -> bool:
    """Remove an entry; False if it is a directory that has new content meanwhile.

    Raises:
        LocalError: the system refused.
    """
    try:
        parent = directories.get(extra.names[:-1])
        try:
            _remove(directories, extra, parent)
        except PermissionError:
            relax(parent.fd)
            _remove(directories, extra, parent)
    except OSError as error:
        if error.errno in NOT_EMPTY:
            return False
        if error.errno != errno.ENOENT:
            raise local_error(error, directories.path_of(extra.names)) from error
    return True


def _remove(directories: OpenDirectories, extra: Extra, parent: DirectoryHandle) -> None:
    if extra.is_directory:
        directories.forget(extra.names)
        os.rmdir(checked_name(extra.names), dir_fd=parent.fd)
    else:
        os.unlink(checked_name(extra.names), dir_fd=parent.fd)
