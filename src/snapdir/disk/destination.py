"""Writing a tree below one directory, and nowhere else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType

from snapdir.disk.directories import (
    HANDLE_FLAGS,
    NOT_A_DIRECTORY,
    DirectoryHandle,
    OpenDirectories,
    change_mode,
    checked_name,
    remove_tree,
)
from snapdir.disk.durable import sync_filesystem
from snapdir.disk.staging import STAGING_NAME, Staging, checked_temporary
from snapdir.disk.temporaries import READ_FLAGS, copy_across
from snapdir.errors import DestinationConflict, LocalError, local_error, local_errors
from snapdir.model.paths import Names

__all__ = ["Destination"]

ABSENT = NOT_A_DIRECTORY | {errno.ENOENT}
NOT_BY_RENAME = frozenset({errno.EISDIR, errno.EXDEV})


class Destination:
    """The target directory of a pull or checkout. Open it with ``open``; several threads may write at once.

    Whatever the names and whatever else changes the tree meanwhile, nothing outside is read, written, removed or
    given another mode: every component is opened relative to its parent's descriptor, and no link is followed. Only
    ``root`` itself may be a link to a directory; it is resolved once. (A directory that somebody moves out of the
    tree while it is in use takes with it what is written to it.)

    A file appears complete under its final name, or not at all. Errors name the full path.

    Attributes:
        staging: Where files are until then.
    """

    def __init__(self, root: str, handle: DirectoryHandle) -> None:
        self._directories = OpenDirectories(root, handle)
        self.staging = Staging(self._directories)
        self._mounted: dict[int, Names] = {}  # a directory on each filesystem inside the tree that was written to

    @classmethod
    def open(cls, root: Path, *, create: bool = True) -> Destination:
        """Open ``root``, making it (mode 0700) and its parents where they are missing.

        Raises:
            DestinationConflict: a file stands there, or a link that leads nowhere.
            LocalError: the system refused, or it is missing and not ``create``.
        """
        path = os.fspath(root)
        with local_errors(path):
            try:
                if create:
                    _make_root(path)
                handle = DirectoryHandle(os.open(path, HANDLE_FLAGS | os.O_DIRECTORY))
            except (NotADirectoryError, FileExistsError) as error:
                raise DestinationConflict(
                    path, "it is not a directory: move it away or choose another destination"
                ) from error
        return cls(path, handle)

    def __enter__(self) -> Destination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every open directory. The staging directory stays: see ``Staging.remove``."""
        self.staging.close()
        self._directories.close()

    @property
    def directories(self) -> OpenDirectories:
        """The directories that are open, for those who look through the tree."""
        return self._directories

    def path_of(self, names: Names) -> str:
        """The full path of ``names``, for messages."""
        return self._directories.path_of(names)

    def make_directory(self, names: Names) -> None:
        """Make sure that a real directory is there, its parents too. Costs 0.5 µs where it is known to be.

        New ones have mode 0700 until ``set_mode``; existing ones of ours get rwx for the owner, so that a tree with
        read-only directories can be written into.

        Raises:
            DestinationConflict: a file or link stands there; it stays.
        """
        self.staging.refuse(names)
        self._directories.make(names)

    def stat(self, names: Names) -> os.stat_result | None:
        """What is there, without following a link; None if it or a real directory above it is missing."""
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
            LocalError: nothing there (errno ENOENT), or not a regular file.
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

    def publish(self, temporary: str, names: Names, mode: int) -> None:
        """Give a temporary its mode and its final name, over whatever file or link has that name. Atomic.

        The directory above must exist (``make_directory``). An empty directory that has the name is removed first.

        Args:
            mode: Permission bits; special bits are set when they are given.

        Raises:
            DestinationConflict: a directory with something in it has that name; it stays, and so does the temporary.
        """
        self.staging.refuse(names)
        staging = self.staging.handle
        source = checked_temporary(temporary)
        final = checked_name(names)
        try:
            parent = self._directories.get(names[:-1])
            # chmod by name would follow a link, and a file of mode 000 cannot be opened again to be copied.
            fd = os.open(source, READ_FLAGS, dir_fd=staging.fd)
            try:
                os.fchmod(fd, mode)
                try:
                    os.rename(source, final, src_dir_fd=staging.fd, dst_dir_fd=parent.fd)
                except OSError as error:
                    if error.errno == errno.EXDEV:
                        self._publish_across(source, fd, parent, names, mode)
                    elif error.errno == errno.EISDIR:
                        self._replace_directory(source, staging, parent, names)
                    else:
                        raise
            finally:
                os.close(fd)
        except OSError as error:
            raise self._error(error, names) from error

    def publish_at_once(self, temporary: str, names: Names) -> bool:
        """Give a temporary, which has its mode, its final name by a rename; False, and nothing done, if it takes more.

        An empty directory that has the name would have to be removed, another filesystem be copied to: see ``publish``.
        """
        self.staging.refuse(names)
        source, final = checked_temporary(temporary), checked_name(names)
        try:
            parent = self._directories.get(names[:-1])
            os.rename(source, final, src_dir_fd=self.staging.handle.fd, dst_dir_fd=parent.fd)
        except OSError as error:
            if error.errno in NOT_BY_RENAME:
                return False
            raise self._error(error, names) from error
        return True

    def set_mode(self, names: Names, mode: int) -> None:
        """Set the permission bits of a file or directory.

        Raises:
            DestinationConflict: a symbolic link stands there.
        """
        try:
            if not names:
                change_mode(self._directories.root_handle.fd, mode)
                return
            flags = HANDLE_FLAGS | os.O_NOFOLLOW | os.O_NONBLOCK
            parent = self._directories.get(names[:-1])
            handle = DirectoryHandle(os.open(checked_name(names), flags, dir_fd=parent.fd))
            if stat.S_ISLNK(os.fstat(handle.fd).st_mode):
                raise DestinationConflict(self.path_of(names), "a symbolic link has no mode of its own")
            change_mode(handle.fd, mode)
        except OSError as error:
            raise self._error(error, names) from error

    def remove(self, names: Names) -> None:
        """Remove a file, a link, or a directory with all in it. Nothing there is fine."""
        try:
            name = checked_name(names)
            self._directories.forget(names)
            remove_tree(name, dir_fd=self._directories.get(names[:-1]).fd)
        except OSError as error:
            if error.errno not in ABSENT:
                raise self._error(error, names) from error

    def sync(self) -> None:
        """Make everything published so far durable: one flush of the filesystem, and of each inside the tree."""
        for names in ((), *self._mounted.values()):
            with local_errors(self.path_of(names)):
                fd = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directories.get(names).fd)
                try:
                    sync_filesystem(fd)
                finally:
                    os.close(fd)

    def _replace_directory(
        self, source: str, source_directory: DirectoryHandle, parent: DirectoryHandle, names: Names
    ) -> None:
        self._directories.remove_empty(names)
        os.rename(source, names[-1], src_dir_fd=source_directory.fd, dst_dir_fd=parent.fd)

    def _publish_across(
        self,
        source: str,
        source_fd: int,
        parent: DirectoryHandle,
        names: Names,
        mode: int,
    ) -> None:
        """Publish into a filesystem that is mounted inside the tree: copy beside the target first."""
        beside = f"{STAGING_NAME}-{os.urandom(8).hex()}"
        try:
            copy_across(source_fd, beside, parent, mode)
            try:
                os.rename(beside, names[-1], src_dir_fd=parent.fd, dst_dir_fd=parent.fd)
            except IsADirectoryError:
                self._replace_directory(beside, parent, parent, names)
        except BaseException:
            remove_tree(beside, dir_fd=parent.fd)
            raise
        self._mounted[os.fstat(parent.fd).st_dev] = names[:-1]
        os.unlink(source, dir_fd=self.staging.handle.fd)

    def _error(self, error: OSError, names: Names) -> LocalError:
        return local_error(error, self.path_of(names))

    def _not_regular(self, names: Names) -> LocalError:
        return LocalError(self.path_of(names), "it is not a regular file", errno=errno.EINVAL)


def _make_root(path: str) -> None:
    """Make ``path`` a directory. One that another process makes at the same moment is as good."""
    if not os.path.lexists(path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
