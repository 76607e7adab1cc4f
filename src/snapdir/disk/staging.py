"""The directory for the unfinished files of a destination, directly below its root. Blocking."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress

from snapdir.disk.claims import hold_shared, open_locked, try_lock, unlock
from snapdir.disk.directories import (
    LIST_FLAGS,
    DirectoryHandle,
    OpenDirectories,
    checked_name,
    remove_tree,
)
from snapdir.disk.modes import change_mode, set_mode
from snapdir.disk.run_folder import CLAIMED
from snapdir.disk.sparse import ZERO_RUN_BYTES, write_at
from snapdir.errors import DestinationConflict, LocalError, local_error, local_errors
from snapdir.model.paths import STAGING_NAME

TEMPORARY_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """STAGING_NAME below the root of ``directories``: made (mode 0700) and locked when it is first needed.

    Several threads may use it at once.
    """

    def __init__(self, directories: OpenDirectories) -> None:
        self._directories = directories
        self._handle: DirectoryHandle | None = None
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        """The full path, for messages."""
        return self._directories.path_of((STAGING_NAME,))

    @property
    def is_open(self) -> bool:
        """Whether it is in use already. Opening it may have to wait for another process that removes it."""
        return self._handle is not None

    @property
    def handle(self) -> DirectoryHandle:
        """The open directory, made if need be."""
        return self._handle or self._open()

    def close(self) -> None:
        """Let go of the directory; it stays: see ``remove``."""
        self._handle = None

    def create(self, name: str) -> int:
        """A descriptor to read and write a new file (mode 0600); the caller closes it."""
        staging = self.handle
        checked_temporary(name)
        try:
            return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)
        except OSError as error:
            raise self._error(error, name) from error

    def open(self, name: str) -> int:
        """A descriptor to read a temporary; the caller closes it."""
        try:
            return os.open(checked_temporary(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.handle.fd)
        except OSError as error:
            raise self._error(error, name) from error

    def claim(self, name: str) -> int:
        """A descriptor for a temporary that a killed run may have begun, with its content; the caller closes it.

        Raises:
            LocalError: another process is at work on it, or the filesystem has no locks.
        """
        staging = self.handle
        try:
            return open_locked(checked_temporary(name), directory_fd=staging.fd)
        except OSError as error:
            raise self._error(error, name) from error

    def write(self, name: str, data: bytes | bytearray | memoryview, *, mode: int | None = None) -> bool:
        """Write a small file in one go, replacing one of that name. All of it, or nothing.

        Args:
            mode: Permission bits; None makes it 0600.

        Returns:
            Whether it has that mode: the system may refuse it.
        """
        # 5,000 files of 16 KiB into 50 directories on tmpfs cost 14.5 µs of CPU each, publish included; the bare
        # open, write, close and rename by path cost 12.3. (Where the kernel has to fetch fresh pages: 58 and 54.)
        staging = self.handle
        checked_temporary(name)
        try:
            fd = _create_replacing(name, staging)
            try:
                if len(data) >= ZERO_RUN_BYTES or os.write(fd, data) < len(data):
                    write_at(fd, memoryview(data), 0)
                return mode is None or set_mode(fd, mode)
            except BaseException:
                os.unlink(name, dir_fd=staging.fd)
                raise
            finally:
                os.close(fd)
        except OSError as error:
            raise self._error(error, name) from error

    def discard(self, temporary: str) -> None:
        """Remove a temporary. Safe to repeat."""
        try:
            remove_tree(checked_temporary(temporary), dir_fd=self.handle.fd)
        except OSError as error:
            raise self._error(error, temporary) from error

    def remove(self, *, keep: bool = False) -> bool:
        """Remove the directory; with ``keep`` only if it is empty. False if temporaries are left.

        While another process (or another Destination) works in it, it stays: the last one removes it.
        """
        with self._lock:
            staging, self._handle = self._handle or self._existing(), None
            if staging is None or try_lock(staging.fd) is False:
                return True
            try:
                if keep:
                    os.rmdir(STAGING_NAME, dir_fd=self._directories.root_handle.fd)
                else:
                    remove_tree(STAGING_NAME, dir_fd=self._directories.root_handle.fd)
            except FileNotFoundError:
                return True
            except OSError as error:
                if keep and error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    return False
                raise local_error(error, self.path) from error
            finally:
                unlock(staging.fd)
        return True

    def leave(self) -> None:
        """Remove all but the large objects that the next run resumes; without any, remove the directory too."""
        with self._lock:
            staging, self._handle = self._handle or self._existing(), None
            if staging is None or try_lock(staging.fd) is False:
                return
            try:
                with local_errors(self.path):
                    self._leave_claimed(staging)
            finally:
                unlock(staging.fd)

    def _leave_claimed(self, staging: DirectoryHandle) -> None:
        listing = DirectoryHandle(os.open(".", LIST_FLAGS, dir_fd=staging.fd))
        names = [name for name in os.listdir(listing.fd) if not name.endswith(CLAIMED)]
        for name in names:
            remove_tree(name, dir_fd=staging.fd)
        with suppress(OSError):  # not empty
            os.rmdir(STAGING_NAME, dir_fd=self._directories.root_handle.fd)

    def _open(self) -> DirectoryHandle:
        """The directory, with a lock that keeps others from removing it."""
        with self._lock:
            while self._handle is None:
                handle = self._make()
                hold_shared(handle.fd)
                if os.fstat(handle.fd).st_nlink:  # else another process has just removed it
                    self._handle = handle
            return self._handle

    def _existing(self) -> DirectoryHandle | None:
        try:
            return DirectoryHandle(os.open(STAGING_NAME, LIST_FLAGS, dir_fd=self._directories.root_handle.fd))
        except OSError:
            return None

    def _make(self) -> DirectoryHandle:
        with local_errors(self.path):
            self._directories.make(())
            with suppress(FileExistsError):
                os.mkdir(STAGING_NAME, 0o700, dir_fd=self._directories.root_handle.fd)
            try:
                fd = os.open(STAGING_NAME, LIST_FLAGS, dir_fd=self._directories.root_handle.fd)
            except NotADirectoryError as error:
                raise DestinationConflict(
                    self.path, "not a directory, but snapdir keeps temporary files there: remove it"
                ) from error
            handle = DirectoryHandle(fd)
            self._refuse_foreign(handle)
            change_mode(fd, 0o700)
            return handle

    def _refuse_foreign(self, staging: DirectoryHandle) -> None:
        # The root's owner is accepted too: with root squashed (NFS) new files belong to another user.
        owner = os.fstat(staging.fd).st_uid
        if owner not in (os.geteuid(), os.fstat(self._directories.root_handle.fd).st_uid):
            raise DestinationConflict(self.path, f"belongs to another user (uid {owner}): remove it")

    def _error(self, error: OSError, name: str) -> LocalError:
        return local_error(error, self._directories.path_of((STAGING_NAME, name)))


def _create_replacing(name: str, staging: DirectoryHandle) -> int:
    """A new file to read and write, replacing any entry of that name."""
    try:
        return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)
    except FileExistsError:
        remove_tree(name, dir_fd=staging.fd)
        return os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=staging.fd)


def checked_temporary(name: str) -> str:
    """A temporary's name, if it is one component.

    Raises:
        UnsafePath: it is not.
    """
    return checked_name((name,))


def name_beside() -> str:
    """A new name for a file or link that is about to be renamed, in the directory of its final name."""
    return f"{STAGING_NAME}-{os.urandom(8).hex()}"
