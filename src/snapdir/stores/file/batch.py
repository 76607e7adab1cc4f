"""Write many small objects into a store in a directory, with one flush for many of them. Blocking."""

from __future__ import annotations

import os
import stat
import threading
import time

from snapdir.model.sizes import MIB
from snapdir.stores.base import Buffer
from snapdir.stores.file.failures import store_error, translate
from snapdir.stores.file.writing import FileWriter, remove

BATCH_OBJECTS = 4096
BATCH_BYTES = 64 * MIB
BATCH_SECONDS = 5.0
"""A killed process loses the objects that are not published yet: at most this many, and of this time."""


class FileBatch:
    """Writes to the store at ``root`` in the caller's thread; see ``BatchWriter``.

    Objects stay temporaries until a batch is full. Then one flush of the filesystem makes their bytes durable, and they
    are renamed. If flushing is switched off, each is renamed at once.
    """

    def __init__(self, root: str, writer: FileWriter) -> None:
        self._root = root
        self._writer = writer
        self._lock = threading.Lock()
        self._unnamed: list[tuple[str, str]] = []
        self._unnamed_bytes = 0
        self._began = 0.0

    @property
    def is_full(self) -> bool:
        """Whether the next ``put`` waits for the disk."""
        return bool(self._unnamed) and (
            len(self._unnamed) >= BATCH_OBJECTS
            or self._unnamed_bytes >= BATCH_BYTES
            or time.monotonic() - self._began >= BATCH_SECONDS
        )

    def put(self, key: str, data: Buffer, *, replace: bool) -> bool:
        if not replace and self._length(key) == len(data):
            return False
        if self.is_full:
            self.publish()
        self.add(key, data)
        return True

    def add(self, key: str, data: Buffer) -> None:
        """Store ``data`` unconditionally and without waiting for the disk, even if the batch is full."""
        with translate(self._root, key, writing=True):
            temporary = self._writer.stage(key, data)
            if not self._writer.flushes:
                self._name(temporary, key)
                return
        with self._lock:
            if not self._unnamed:
                self._began = time.monotonic()
            self._unnamed.append((temporary, key))
            self._unnamed_bytes += len(data)

    def publish(self) -> None:
        with self._lock:
            unnamed, self._unnamed, self._unnamed_bytes = self._unnamed, [], 0
        if not unnamed:
            return
        try:
            with translate(self._root, "", writing=True):
                self._writer.flush()
            while unnamed:
                temporary, key = unnamed.pop()
                with translate(self._root, key, writing=True):
                    self._name(temporary, key)
        finally:
            for temporary, _ in unnamed:
                remove(temporary)

    def _name(self, temporary: str, key: str) -> None:
        try:
            self._writer.publish(temporary, key, flushed=True)
        except BaseException:
            remove(temporary)
            raise

    def _length(self, key: str) -> int:
        try:
            status = os.stat(os.path.join(self._root, key))
        except (FileNotFoundError, NotADirectoryError):
            return -1
        except OSError as error:
            raise store_error(error, self._root, key, writing=True) from error
        return status.st_size if stat.S_ISREG(status.st_mode) else -1
