"""Write into a store in a directory: a temporary, complete and verified, then one rename. Blocking."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from snapdir.disk.claims import exclusive, open_locked
from snapdir.disk.clone import copy_contents
from snapdir.disk.durable import sync_directory, sync_filesystem
from snapdir.disk.room import require_room
from snapdir.disk.run_folder import RunFolder
from snapdir.disk.sparse import write_at
from snapdir.disk.system import path_of_descriptor
from snapdir.errors import HashMismatchError, InFluxError, NoConditionalWrites
from snapdir.model.keys import MANIFESTS, OBJECT_MODE, OBJECTS, PARTIAL
from snapdir.stores.base import Body, FileRange
from snapdir.stores.settings import StoreSettings

FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF})
NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class FileWriter:
    """Writes below ``root``. Between calls, only its folder of temporaries is open, until ``close``.

    Objects get mode 0444 and other files 0666, less the umask. The system applies the umask when it creates the
    temporary, because a process cannot read its own umask without a race.
    """

    def __init__(self, root: str, settings: StoreSettings) -> None:
        self._root = root
        self._folder = RunFolder(os.path.join(root, PARTIAL))
        self._settings = settings

    @property
    def verifies(self) -> bool:
        """Whether everything that is written is read back."""
        return self._settings.verify_copies

    @property
    def flushes(self) -> bool:
        """Whether bytes must be on the disk before they get a name."""
        return self._settings.fsync

    def write(self, key: str, body: Body, if_absent: bool) -> bool:
        """Store one body. For worker threads; stops within 64 MiB if the caller is cancelled."""
        if if_absent and os.path.isfile(os.path.join(self._root, key)):
            return False
        self.prepare(key)
        temporary = self.stage(key, body)
        try:
            return self.publish(temporary, key, if_absent=if_absent)
        except BaseException:
            remove(temporary)
            raise

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """``Store.swap``. The lock covers comparing and renaming only; with ``fsync``, the rename is on the disk then.

        Raises:
            NoConditionalWrites: The filesystem has no locks.
        """
        path = os.path.join(self._root, key)
        temporary = self.stage(key, new)
        try:
            if self._settings.fsync:
                _sync(temporary)
            with _lock_of_swaps(self._folder.parent):
                present = _content(path, max(len(old or b""), len(new)) + 1)
                if present == old:
                    self.publish(temporary, key, flushed=True)
        finally:
            remove(temporary)
        self.flush()
        return present in (old, new)

    def create(self, mode: int) -> tuple[str, int]:
        """A new temporary: its path and descriptor."""
        folder, name = self._folder.path, os.urandom(12).hex()
        try:
            return _created(folder, name, mode)
        except FileNotFoundError:
            self._folder.forget(folder)
            return _created(self._folder.path, name, mode)

    def claim(self, name: str) -> tuple[str, int]:
        """A temporary by name, with the content that a killed run may have left: its path and descriptor.

        Raises:
            OSError: Another process uses it, or the filesystem has no locks.
        """
        os.makedirs(self._folder.parent, exist_ok=True)
        temporary = os.path.join(self._folder.parent, name)
        return temporary, open_locked(temporary)

    def close(self) -> None:
        """Remove the folder of temporaries. Safe to repeat; the next write creates another."""
        self._folder.close()

    def mode_of_new(self, mode: int) -> int:
        """The mode that a new file gets from ``mode`` and the umask."""
        temporary, fd = self.create(mode)
        try:
            return stat.S_IMODE(os.fstat(fd).st_mode)
        finally:
            os.close(fd)
            remove(temporary)

    def preallocate(self, size: int, mode: int) -> tuple[str, int]:
        """A new temporary of ``size`` bytes: its path and descriptor.

        It is sparse: posix_fallocate would write every block on filesystems without support for it.
        """
        temporary, fd = self.create(mode)
        try:
            require_room(fd, size)
            os.ftruncate(fd, size)
        except BaseException:
            os.close(fd)
            remove(temporary)
            raise
        return temporary, fd

    def fill(self, fd: int, body: Body, offset: int) -> None:
        """Write a body at ``offset``. Verify it if it has a checksum, or if the settings say so.

        Raises:
            InFluxError: The file of the body changed.
            HashMismatchError: The written bytes differ from those that were read.
        """
        if isinstance(body, FileRange):
            copy_contents(
                body.fd,
                fd,
                body.length,
                offset=body.offset,
                target_offset=offset,
                clone=self._settings.clone,
                between=_check_cancelled,
            )
        else:
            write_at(fd, memoryview(body), offset)
        if isinstance(body, FileRange) and body.check is not None:
            body.check()
        if isinstance(body, FileRange) and body.digest is not None:
            _verify_copy(fd, body.fd, body.digest)
        elif self._settings.verify_copies or (isinstance(body, FileRange) and body.crc32c is not None):
            _verify(fd, body, offset)

    def stage(self, key: str, body: Body) -> str:
        """Write a complete temporary for ``key``, for ``publish``; its path."""
        temporary, fd = self.create(final_mode(key))
        try:
            self.fill(fd, body, 0)
        except BaseException:
            remove(temporary)
            raise
        finally:
            os.close(fd)
        return temporary

    def flush(self) -> None:
        """Make all published files durable."""
        if self._settings.fsync and os.path.isdir(self._root):
            sync_filesystem(self._root)

    def prepare(self, key: str) -> None:
        """Before a manifest is written, make all earlier objects durable.

        The manifest's directories are created first, so that they become durable too.
        """
        if self._settings.fsync and key.startswith(MANIFESTS):
            os.makedirs(os.path.dirname(os.path.join(self._root, key)), exist_ok=True)
            sync_filesystem(self._root)

    def publish(self, temporary: str, key: str, *, if_absent: bool = False, flushed: bool = False) -> bool:
        """Rename a complete temporary to its key; False if ``if_absent`` kept an existing file.

        Its bytes are on the disk before, because later runs trust a file of the right length, also after a power cut.

        Args:
            flushed: The caller has flushed the bytes already.
        """
        path = os.path.join(self._root, key)
        if self._settings.fsync and not flushed:
            _sync(temporary)
        try:
            written = _rename(temporary, path, if_absent=if_absent)
        except FileNotFoundError:
            # Trying first saves three system calls for each object: in a large store, most directories exist.
            _make_parents(path)
            written = _rename(temporary, path, if_absent=if_absent)
        except IsADirectoryError:
            with suppress(OSError):
                os.rmdir(path)  # only if empty; otherwise the rename fails, and its error names the path
            written = _rename(temporary, path, if_absent=if_absent)
        if written and self._settings.fsync and key.startswith(MANIFESTS):
            _sync(os.path.dirname(path))
        return written


def final_mode(key: str) -> int:
    """The mode of the file at ``key``, before the umask."""
    return OBJECT_MODE if key.startswith(OBJECTS) else 0o666


def remove(temporary: str) -> None:
    """Remove a temporary if it is still there."""
    with suppress(FileNotFoundError):
        os.unlink(temporary)


@contextmanager
def _lock_of_swaps(folder: str) -> Iterator[None]:
    try:
        with exclusive(os.path.join(folder, "swap.lock")):
            yield
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise NoConditionalWrites(f"{folder}: its filesystem has no locks") from error


def _content(path: str, length: int) -> bytes | None:
    """Up to ``length`` bytes of a file; None without one. A pipe or an empty directory in its place is replaced."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, length) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def _make_parents(path: str) -> None:
    """os.makedirs from the deepest level up: in a large store, only the last one or two are missing."""
    parent = os.path.dirname(path)
    try:
        os.mkdir(parent)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_parents(parent)
        with suppress(FileExistsError):
            os.mkdir(parent)


def _rename(temporary: str, path: str, *, if_absent: bool) -> bool:
    if not if_absent:
        os.rename(temporary, path)
        return True
    try:
        os.link(temporary, path)
    except FileExistsError:
        if not os.path.isfile(path):
            return _rename(temporary, path, if_absent=False)
        remove(temporary)
        return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        # Without hard links (FAT, some network filesystems) both writers win, the later one by replacing equal content.
        os.rename(temporary, path)
    else:
        remove(temporary)
    return True


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            sync_directory(fd)
        else:
            os.fsync(fd)
    finally:
        os.close(fd)


def _created(folder: str, name: str, mode: int) -> tuple[str, int]:
    path = os.path.join(folder, name)
    return path, os.open(path, FLAGS, mode)


def _check_cancelled() -> None:
    """Stop if the caller was cancelled."""
    from anyio.from_thread import check_cancelled  # 1 ms of import that a pull does not need

    check_cancelled()


def _verify_copy(fd: int, source_fd: int, digest: str) -> None:
    """Hash the copy of a whole file and compare. 0.2 s per GiB, from the page cache."""
    from snapdir.hashing.files import hash_descriptor

    actual, _ = hash_descriptor(fd, between=_check_cancelled)
    if actual == digest:
        return
    if hash_descriptor(source_fd, between=_check_cancelled)[0] != digest:
        raise InFluxError(path_of_descriptor(source_fd))
    raise HashMismatchError(path_of_descriptor(fd), expected=digest, actual=actual)


def _verify(fd: int, body: Body, offset: int) -> None:
    from snapdir.hashing.crc32c import crc32c, crc32c_of_range

    if not isinstance(body, FileRange):
        expected, length = crc32c(body), len(body)
        actual, _ = crc32c_of_range(fd, offset, length)
    else:
        known, length = body.crc32c, body.length
        if known is None:
            known, _ = crc32c_of_range(body.fd, body.offset, length, between=_check_cancelled)
        expected, (actual, _) = known, crc32c_of_range(fd, offset, length, between=_check_cancelled)
    if actual == expected:
        return
    if (
        isinstance(body, FileRange)
        and crc32c_of_range(body.fd, body.offset, length, between=_check_cancelled)[0] != expected
    ):
        raise InFluxError(path_of_descriptor(body.fd))
    raise HashMismatchError(path_of_descriptor(fd), expected=f"CRC32C {expected:08x}", actual=f"CRC32C {actual:08x}")
