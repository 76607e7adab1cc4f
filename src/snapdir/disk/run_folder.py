"""Temporaries of one run: in a folder of its own, locked meanwhile. The next run sweeps the folders of killed ones.

The kernel drops the lock with its process. On filesystems that other hosts may have open, where a lock proves little,
a folder counts as left behind when nothing in it has changed for STALE_SECONDS.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from snapdir.disk.claims import is_still_at, try_lock
from snapdir.disk.directories import LIST_FLAGS, DirectoryHandle, remove_tree
from snapdir.disk.durable import sync_filesystem
from snapdir.disk.filesystems import is_on_local_filesystem
from snapdir.model.keys import PARTIAL

"""Below the root of a store or cache; no reader looks into it."""

PREFIX = "run-"

CLAIMED = ".part"
"""Ends the name of a large object's temporary, which the next run resumes (see ``claims``)."""

STALE_SECONDS = 24 * 3600
"""Files that have not changed for this time are left behind, where locks prove little."""

KEPT_SECONDS = 7 * STALE_SECONDS
"""How long an unfinished large object waits for a run that resumes it."""

SWEPT_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RunFolder:
    """``<parent>/run-<random>/``, made and locked when it is first needed. Safe to use from several threads.

    Making it sweeps ``parent``. A process that is killed leaves the folder behind, unlocked.
    """

    def __init__(self, parent: str | os.PathLike[str]) -> None:
        self.parent = os.fspath(parent)
        self._lock = threading.Lock()
        self._handle: DirectoryHandle | None = None
        self._path = ""

    @property
    def path(self) -> str:
        """The folder, made if need be. Blocking.

        Raises:
            OSError: it cannot be made.
        """
        return self._path or self._make()

    def forget(self, path: str) -> None:
        """Forget ``path``, which a flush of the cache has removed: the next use creates another."""
        with self._lock:
            if self._path == path:
                self._path, self._handle = "", None

    def close(self) -> None:
        """Remove the folder if it is empty, and unlock it. Safe to repeat; the next use makes another."""
        with self._lock:
            path, handle = self._path, self._handle
            self._path, self._handle = "", None
            if handle is not None:
                with suppress(OSError):  # not empty, or gone: the next run sweeps
                    os.rmdir(path)

    def _make(self) -> str:
        with self._lock:
            if not self._path:
                sweep(self.parent)
            while not self._path:
                os.makedirs(self.parent, exist_ok=True)
                path = os.path.join(self.parent, PREFIX + os.urandom(8).hex())
                with suppress(FileNotFoundError):  # another process removed it, or the parent, before it was locked
                    os.mkdir(path)
                    handle = DirectoryHandle(os.open(path, LIST_FLAGS))
                    if try_lock(handle.fd) is not False and is_still_at(path, None, os.fstat(handle.fd)):
                        self._path, self._handle = path, handle
            return self._path


def sweep(parent: str | os.PathLike[str]) -> None:
    """Remove the temporaries of killed runs from ``parent``. Never fails.

    Folders of runs go at once, temporaries that a run could resume after KEPT_SECONDS, and all others after
    STALE_SECONDS.
    """
    with suppress(OSError), os.scandir(parent) as entries:
        names = [entry.name for entry in entries]
        if not names:
            return
        trusted = is_on_local_filesystem(parent)
        directory = DirectoryHandle(os.open(parent, LIST_FLAGS & ~os.O_NOFOLLOW))
        for name in names:
            with suppress(OSError):
                _sweep_one(name, directory.fd, trusted=trusted)


def replace_note(cache_dir: Path, file: Path, data: bytes, *, mode: int = 0o666, fsync: bool) -> None:
    """Replace a small file of a cache. Atomic, and with ``fsync`` durable.

    Args:
        mode: Of the file, before the umask.

    Raises:
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(cache_dir / PARTIAL)
    temporary = Path(folder.path, "note")
    try:
        with open(temporary, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as opened:
            opened.write(data)
            opened.flush()
            if fsync:
                os.fsync(opened.fileno())
        temporary.replace(file)
        if fsync:
            sync_filesystem(file.parent)
    finally:
        temporary.unlink(missing_ok=True)
        folder.close()


def _sweep_one(name: str, parent_fd: int, *, trusted: bool) -> None:
    fd = os.open(name, SWEPT_FLAGS, dir_fd=parent_fd)
    try:
        locked = try_lock(fd)
        if locked is False or not is_still_at(name, parent_fd, os.fstat(fd)):
            return
        if _idle_seconds(fd) >= _stale_after_seconds(name, at_once=trusted and bool(locked)):
            remove_tree(name, dir_fd=parent_fd)
    finally:
        os.close(fd)


def _stale_after_seconds(name: str, *, at_once: bool) -> float:
    if name.startswith(PREFIX):
        return float("-inf") if at_once else STALE_SECONDS
    return KEPT_SECONDS if name.endswith(CLAIMED) else STALE_SECONDS


def _idle_seconds(fd: int) -> float:
    """Seconds since the last change of an open file, or of a directory and its entries."""
    status = os.fstat(fd)
    latest = status.st_mtime
    with suppress(NotADirectoryError), os.scandir(fd) as entries:
        latest = max([latest, *(entry.stat(follow_symlinks=False).st_mtime for entry in entries)])
    return time.time() - latest
