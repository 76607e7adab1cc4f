"""Directories of one tree, opened one component at a time and kept open, so that no symbolic link is ever followed."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from snapdir.disk.descriptors import Handle, share_of_descriptors
from snapdir.disk.modes import is_member_of, relax
from snapdir.disk.system import HANDLE_FLAGS
from snapdir.errors import DestinationConflict, UnsafePath, local_error, local_errors
from snapdir.errors.local import OUT_OF_DESCRIPTORS
from snapdir.model.names import name_on_system
from snapdir.model.paths import Names

DIRECTORY_FLAGS = HANDLE_FLAGS | os.O_DIRECTORY | os.O_NOFOLLOW
LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NOT_A_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP})
NOT_EMPTY = frozenset({errno.ENOTEMPTY, errno.EEXIST})
CANNOT_UNLINK_DIRECTORY = frozenset({errno.EISDIR, errno.EPERM})
MAX_OPEN_DIRECTORIES = 256
MAX_OPEN_LEVELS = 16
NO_GROUP = -1
MAX_TRIES = 16
"""Rounds of a race with a process that removes a directory; threads that make it at the same time need two."""


class DirectoryHandle(Handle):
    """An open directory."""

    __slots__ = ("_group",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._group: int | None = None

    @property
    def group(self) -> int | None:
        """The group of new entries, by the set-group-id bit; None without that. Looked up once."""
        if self._group is None:
            status = os.fstat(self.fd)
            self._group = status.st_gid if status.st_mode & stat.S_ISGID else NO_GROUP
        return None if self._group == NO_GROUP else self._group


class OpenDirectories:
    """The most recently used directories below ``root``. Safe to use from several threads.

    There are 256, or fewer if ``max_open_files`` or the process allows fewer open files.

    Every component is opened relative to its parent's descriptor with O_NOFOLLOW and O_DIRECTORY: if a link replaces a
    directory, the next call fails, and open directories stay what they were.
    """

    def __init__(
        self, root: str, root_handle: DirectoryHandle, *, limit: int | None = None, max_open_files: int = 0
    ) -> None:
        self.root = root
        self.root_handle = root_handle
        self._limit = share_of_descriptors(MAX_OPEN_DIRECTORIES, max_open_files) if limit is None else limit
        self._lock = threading.Lock()
        self._handles: OrderedDict[Names, DirectoryHandle] = OrderedDict()

    def path_of(self, names: Names) -> str:
        """The path as the user knows it."""
        return "/".join((self.root.rstrip("/"), *names)) if names else self.root

    def get(self, names: Names) -> DirectoryHandle:
        """An existing directory. A cached one costs 0.3 µs and no system call.

        Raises:
            OSError: ENOENT or ENOTDIR without one (a link to a directory does not count), or an error of the system.
        """
        if not names:
            return self.root_handle
        with self._lock:
            handle = self._handles.get(names)
            if handle is not None:
                self._handles.move_to_end(names)
                return handle
        return self._descend(names, self._open)

    def make(self, names: Names, mode: int = 0o700) -> DirectoryHandle:
        """The directory, made if it is missing, with rwx for its owner if that is this user.

        Args:
            mode: The final mode of a new one. It is 0700 until then, unless changing it would lose an inherited
                set-group-id bit.

        Raises:
            DestinationConflict: an entry of another kind has the name.
            LocalError: the system refused.
        """
        if not names:
            relax(self.root_handle.fd)
            return self.root_handle
        with self._lock:
            if (handle := self._handles.get(names)) is not None:
                return handle
        return self._descend(names, partial(self._make, mode=mode))

    def remove_empty(self, names: Names) -> None:
        """Remove an empty directory. Safe to repeat.

        Raises:
            DestinationConflict: it is not empty.
            OSError: the system refused.
        """
        self.forget(names)
        try:
            os.rmdir(checked_name(names), dir_fd=self.get(names[:-1]).fd)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            if error.errno not in NOT_EMPTY:
                raise
            raise DestinationConflict(
                self.path_of(names), "expected a file, found a directory that is not empty; move it away"
            ) from error

    def forget(self, names: Names) -> None:
        """Close the cached directories at and below ``names``, which are about to be removed."""
        length = len(names)
        with self._lock:
            for cached in [cached for cached in self._handles if cached[:length] == names]:
                del self._handles[cached]

    def close(self) -> None:
        """Close every directory; running calls keep theirs, later ones fail with EBADF."""
        with self._lock:
            self._handles.clear()
            self.root_handle = DirectoryHandle(-1)

    def _descend(self, names: Names, step: Callable[[DirectoryHandle, Names], DirectoryHandle]) -> DirectoryHandle:
        # A loop, not a recursion: a path may have 2048 components.
        length, handle = self._nearest(names)
        for end in range(length + 1, len(names) + 1):
            handle = step(handle, names[:end])
            with self._lock:
                self._handles[names[:end]] = handle
                if len(self._handles) > self._limit:
                    self._handles.popitem(last=False)
        return handle

    def _nearest(self, names: Names) -> tuple[int, DirectoryHandle]:
        with self._lock:
            for length in range(len(names), 0, -1):
                handle = self._handles.get(names[:length])
                if handle is not None:
                    self._handles.move_to_end(names[:length])
                    return length, handle
        return 0, self.root_handle

    def _open(self, parent: DirectoryHandle, names: Names) -> DirectoryHandle:
        name = checked_name(names)
        try:
            return DirectoryHandle(os.open(name, DIRECTORY_FLAGS, dir_fd=parent.fd))
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
        with self._lock:  # close the cached ones, and try again
            self._handles.clear()
        return DirectoryHandle(os.open(name, DIRECTORY_FLAGS, dir_fd=parent.fd))

    def _make(self, parent: DirectoryHandle, names: Names, *, mode: int) -> DirectoryHandle:
        for _ in range(MAX_TRIES):
            try:
                handle = self._open(parent, names)
            except FileNotFoundError:
                with local_errors(self.path_of(names)), suppress(FileExistsError):
                    loses_bit = parent.group is not None and not is_member_of(parent.group)
                    os.mkdir(checked_name(names), mode | 0o700 if loses_bit else 0o700, dir_fd=parent.fd)
            except OSError as error:
                if error.errno not in NOT_A_DIRECTORY:
                    raise local_error(error, self.path_of(names)) from error
                raise DestinationConflict(
                    self.path_of(names), "expected a directory, found a file or link; move it away"
                ) from error
            else:
                with local_errors(self.path_of(names)):
                    relax(handle.fd)
                return handle
        raise DestinationConflict(
            self.path_of(names), "another process keeps removing this directory; stop it and run again"
        )


def checked_name(names: Names) -> str:
    """The last name, for the system, if it is a plain name in its parent.

    Raises:
        UnsafePath: empty, ``.``, ``..``, or with a slash or NUL in it.
    """
    name = names[-1] if names else ""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UnsafePath("/".join(("./", *names)), "a component is empty, '.', '..' or holds a slash or NUL")
    return name_on_system(name)


def remove_tree(name: str, *, dir_fd: int) -> None:
    """Remove an entry, with all below it if it is a directory. Safe to repeat.

    Links are removed, never followed, even if other processes change the tree. Directories without rwx get it first.
    The depth has no limit, and at most ``MAX_OPEN_LEVELS`` directories are open at once.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in CANNOT_UNLINK_DIRECTORY:
            raise
        _remove_directory(_Emptied(name, dir_fd))


class _Emptied:
    """An open directory whose files have been removed, with the names of its subdirectories."""

    def __init__(self, name: str, parent_fd: int) -> None:
        self.name = name
        self.parent_fd = parent_fd
        self.handle = DirectoryHandle(os.open(name, DIRECTORY_FLAGS, dir_fd=parent_fd))
        self.subdirectories: list[str] = []
        relax(self.handle.fd)
        listing = DirectoryHandle(os.open(".", LIST_FLAGS, dir_fd=self.handle.fd))
        with os.scandir(listing.fd) as entries:
            children = list(entries)
        for child in children:
            if child.is_dir(follow_symlinks=False):
                self.subdirectories.append(child.name)
            else:
                os.unlink(child.name, dir_fd=self.handle.fd)

    def lift_into(self, top: _Emptied) -> None:
        """Move the subdirectories up, to be removed from there."""
        while self.subdirectories:
            name = os.urandom(16).hex()
            os.rename(self.subdirectories.pop(), name, src_dir_fd=self.handle.fd, dst_dir_fd=top.handle.fd)
            top.subdirectories.append(name)


def _remove_directory(top: _Emptied) -> None:
    # A stack instead of recursion: see _descend.
    pending = [top]
    while pending:
        current = pending[-1]
        if len(pending) > MAX_OPEN_LEVELS:
            current.lift_into(top)
        if current.subdirectories:
            pending.append(_Emptied(current.subdirectories.pop(), current.handle.fd))
        else:
            pending.pop()
            os.rmdir(current.name, dir_fd=current.parent_fd)
