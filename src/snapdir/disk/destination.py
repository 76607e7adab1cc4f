"""Write a tree below one directory, and nowhere else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from snapdir.disk.clone import copy_contents
from snapdir.disk.directories import (
    NOT_A_DIRECTORY,
    DirectoryHandle,
    OpenDirectories,
    checked_name,
    remove_tree,
)
from snapdir.disk.durable import sync_filesystem
from snapdir.disk.modes import RefusedModes, change_mode, set_mode
from snapdir.disk.staging import TEMPORARY_FLAGS, Staging, checked_temporary, name_beside
from snapdir.disk.system import HANDLE_FLAGS
from snapdir.errors import DestinationConflict, LocalError, local_error, local_errors
from snapdir.model.paths import Names, refuse_staging

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
ABSENT = NOT_A_DIRECTORY | {errno.ENOENT}
NOT_BY_RENAME = frozenset({errno.EISDIR, errno.EXDEV})


class Destination:
    """The target directory of a pull or checkout. Open it with ``open``; several threads may write at once.

    Nothing outside is read, written, removed or given another mode, even if other processes change the tree meanwhile:
    every component is opened relative to its parent's descriptor, and no link is followed. Only
    ``root`` itself may be a link to a directory; it is resolved once. (If another process moves a directory out of the
    tree meanwhile, the files that are written into it go with it.)

    A file appears complete under its final name, or not at all. Errors name the full path.

    Attributes:
        staging: The directory of the files that are not complete.
        refused_modes: Paths with the right content whose mode the system refused to change.
    """

    def __init__(self, root: str, handle: DirectoryHandle, max_open_files: int = 0) -> None:
        self._directories = OpenDirectories(root, handle, max_open_files=max_open_files)
        self.staging = Staging(self._directories)
        self.refused_modes = RefusedModes()
        self._mounted: dict[int, Names] = {}  # a directory on each filesystem inside the tree that was written to

    @classmethod
    def open(cls, root: Path, *, create: bool = True, max_open_files: int = 0) -> Destination:
        """Open ``root``, making it (mode 0700) and its parents if they are missing.

        Args:
            max_open_files: As in ``Limits``: few keep few directories open.

        Raises:
            DestinationConflict: ``root`` is a file or a broken link.
            LocalError: the system refused, or ``root`` is missing and ``create`` is off.
        """
        path = os.fspath(root)
        with local_errors(path):
            try:
                if create:
                    _make_root(path)
                handle = DirectoryHandle(os.open(path, HANDLE_FLAGS | os.O_DIRECTORY))
            except (NotADirectoryError, FileExistsError) as error:
                raise DestinationConflict(
                    path, "not a directory: move it away or choose another destination"
                ) from error
        return cls(path, handle, max_open_files)

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every open directory. The staging directory stays: see ``Staging.remove``."""
        self.staging.close()
        self._directories.close()

    @property
    def directories(self) -> OpenDirectories:
        """The open directories, for looking through the tree."""
        return self._directories

    def path_of(self, names: Names) -> str:
        """The full path of ``names``, for messages."""
        return self._directories.path_of(names)

    def make_directory(self, names: Names, mode: int = 0o700) -> None:
        """Make sure that a real directory exists, with its parents. Costs 0.5 µs if it is known to exist.

        New ones have mode 0700 until ``set_mode`` (but see ``OpenDirectories.make``), and the group and set-group-id
        bit of a directory above that has one; existing ones of ours get rwx for the owner, so that a tree with
        read-only directories can be written into.

        Raises:
            DestinationConflict: the path is a file or link; it stays.
        """
        refuse_staging(names)
        self._directories.make(names, mode)

    def stat(self, names: Names) -> os.stat_result | None:
        """The status of an entry, without following a link; None if it or a real directory above it is missing."""
        try:
            if not names:
                return os.fstat(self._directories.root_handle.fd)
            parent = self._directories.get(names[:-1])
            return os.stat(checked_name(names), dir_fd=parent.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise self._error(error, names) from error

    def open_file(self, names: Names) -> int:
        """A descriptor to read a regular file; the caller closes it.

        Raises:
            LocalError: the file is missing (errno ENOENT), or is not a regular file.
        """
        try:
            fd = os.open(checked_name(names), READ_FLAGS, dir_fd=self._directories.get(names[:-1]).fd)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._not_regular(names) from error
            raise self._error(error, names) from error
        os.close(fd)
        raise self._not_regular(names)

    def open_behind_link(self, names: Names) -> int:
        """A descriptor to read the target of a link, wherever that is; the caller closes it.

        Raises:
            OSError: the link leads nowhere, or its target cannot be opened.
        """
        flags = READ_FLAGS & ~os.O_NOFOLLOW
        return os.open(checked_name(names), flags, dir_fd=self._directories.get(names[:-1]).fd)

    def read_link(self, names: Names) -> str | None:
        """The text of a link; None if the entry is not a link."""
        try:
            return os.readlink(checked_name(names), dir_fd=self._directories.get(names[:-1]).fd)
        except OSError as error:
            if error.errno in ABSENT or error.errno == errno.EINVAL:  # EINVAL: an entry of another kind
                return None
            raise self._error(error, names) from error

    def place_link(self, text: str, names: Names) -> None:
        """Make a link with this text, in place of a file, link or empty directory. Atomic, except over a directory.

        The directory above must exist.

        Raises:
            DestinationConflict: the path is a directory that is not empty; it stays.
        """
        # Beside its target rather than in the staging directory: a filesystem may be mounted in the tree.
        beside = name_beside()
        try:
            parent = self._directories.get(names[:-1])
            os.symlink(text, beside, dir_fd=parent.fd)
            self._rename_beside(beside, parent, names)
        except OSError as error:
            raise self._error(error, names) from error

    def publish(self, temporary: str, names: Names, mode: int) -> None:
        """Give a temporary its mode and its final name, replacing a file or link of that name. Atomic.

        The directory above must exist (``make_directory``); if it has a set-group-id bit, the file gets its group. An
        empty directory that has the name is removed first. A mode that is refused is noted in ``refused_modes``.

        Args:
            mode: Permission bits; special bits are set when they are given.

        Raises:
            DestinationConflict: the path is a directory that is not empty; it stays, and so does the temporary.
        """
        refuse_staging(names)
        source = checked_temporary(temporary)
        checked_name(names)
        try:
            parent = self._directories.get(names[:-1])
            # chmod by name would follow a link, and a file of mode 000 cannot be opened again to be copied.
            fd = os.open(source, READ_FLAGS, dir_fd=self.staging.handle.fd)
            try:
                has_group, has_mode = self._has_group(fd, parent), set_mode(fd, mode)
                if not (has_group and self._renamed(source, parent, names)):
                    has_mode = self._publish_across(source, fd, parent, names, mode)
            finally:
                os.close(fd)
            if not has_mode:
                self.note_refusal(names)
        except OSError as error:
            raise self._error(error, names) from error

    def publish_at_once(self, temporary: str, names: Names) -> bool:
        """Give a temporary, which has its mode, its final name by a rename. False, and nothing done, if it takes more.

        More means removing an empty directory, copying to another filesystem, or setting a group: see ``publish``.
        """
        refuse_staging(names)
        source, final = checked_temporary(temporary), checked_name(names)
        try:
            parent, staging = self._directories.get(names[:-1]), self.staging.handle
            if parent.group not in (None, staging.group):
                return False
            os.rename(source, final, src_dir_fd=staging.fd, dst_dir_fd=parent.fd)
        except OSError as error:
            if error.errno in NOT_BY_RENAME:
                return False
            raise self._error(error, names) from error
        return True

    def set_mode(self, names: Names, mode: int, *, keep_group_bit: bool = True) -> None:
        """Set the permission bits of a file or directory. A refusal is noted in ``refused_modes``.

        Args:
            keep_group_bit: A directory's set-group-id bit stays.

        Raises:
            DestinationConflict: the path is a symbolic link.
        """
        try:
            handle = self._directories.root_handle
            if names:
                flags = HANDLE_FLAGS | os.O_NOFOLLOW | os.O_NONBLOCK
                parent = self._directories.get(names[:-1])
                handle = DirectoryHandle(os.open(checked_name(names), flags, dir_fd=parent.fd))
            if stat.S_ISLNK(os.fstat(handle.fd).st_mode):
                raise self._is_link(names)
            if not change_mode(handle.fd, mode, keep_group_bit=keep_group_bit):
                self.note_refusal(names)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._is_link(names) from error
            raise self._error(error, names) from error

    def note_refusal(self, names: Names) -> None:
        """Note in ``refused_modes`` that a mode was refused."""
        self.refused_modes.add("/".join((".", *names)))

    def sync(self) -> None:
        """Make everything published so far durable: one flush of the filesystem, and of each inside the tree."""
        for names in ((), *self._mounted.values()):
            with local_errors(self.path_of(names)):
                fd = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directories.get(names).fd)
                try:
                    sync_filesystem(fd)
                finally:
                    os.close(fd)

    def _renamed(self, source: str, parent: DirectoryHandle, names: Names) -> bool:
        """Rename a temporary to its final name; False if that is on another filesystem."""
        try:
            self._rename(source, self.staging.handle, parent, names)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False
            raise
        return True

    def _rename(self, source: str, folder: DirectoryHandle, parent: DirectoryHandle, names: Names) -> None:
        """Rename a file of ``folder`` to its final name, also in the place of an empty directory."""
        try:
            os.rename(source, checked_name(names), src_dir_fd=folder.fd, dst_dir_fd=parent.fd)
        except IsADirectoryError:
            self._directories.remove_empty(names)
            os.rename(source, checked_name(names), src_dir_fd=folder.fd, dst_dir_fd=parent.fd)

    def _rename_beside(self, beside: str, parent: DirectoryHandle, names: Names) -> None:
        """Rename a temporary in the directory of its final name; it is removed if that fails."""
        try:
            self._rename(beside, parent, parent, names)
        except BaseException:
            remove_tree(beside, dir_fd=parent.fd)
            raise

    def _publish_across(
        self,
        source: str,
        source_fd: int,
        parent: DirectoryHandle,
        names: Names,
        mode: int,
    ) -> bool:
        """Copy beside the target first, for another filesystem or group; False if the mode is refused."""
        beside = name_beside()
        try:
            has_mode = _copy_across(source_fd, beside, parent, mode)
        except BaseException:
            remove_tree(beside, dir_fd=parent.fd)
            raise
        self._rename_beside(beside, parent, names)
        self._mounted[os.fstat(parent.fd).st_dev] = names[:-1]
        os.unlink(source, dir_fd=self.staging.handle.fd)
        return has_mode

    def _has_group(self, fd: int, parent: DirectoryHandle) -> bool:
        """Whether an open temporary has the group that ``parent`` gives to new files, or gets it now."""
        group = parent.group
        if group in (None, self.staging.handle.group) or os.fstat(fd).st_gid == group:
            return True
        try:
            os.fchown(fd, -1, group)
        except OSError:  # not a member of it
            return False
        return True

    def _error(self, error: OSError, names: Names) -> LocalError:
        return local_error(error, self.path_of(names))

    def _is_link(self, names: Names) -> DestinationConflict:
        return DestinationConflict(self.path_of(names), "a symbolic link has no mode of its own")

    def _not_regular(self, names: Names) -> LocalError:
        return LocalError(self.path_of(names), "it is not a regular file", errno=errno.EINVAL)


def _copy_across(source_fd: int, target: str, directory: DirectoryHandle, mode: int) -> bool:
    """Copy an open file to a new name in another directory; False if its mode is refused."""
    target_fd = os.open(target, TEMPORARY_FLAGS, 0o600, dir_fd=directory.fd)
    try:
        copy_contents(source_fd, target_fd, os.fstat(source_fd).st_size)
        return set_mode(target_fd, mode)
    finally:
        os.close(target_fd)


def _make_root(path: str) -> None:
    """Make ``path`` a directory, unless another process just did."""
    if not os.path.lexists(path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
