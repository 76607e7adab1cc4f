"""Many small objects into a store in a directory, without a hop to a thread for each. Blocking."""

from __future__ import annotations

import os

from snapdir.stores.base import Buffer
from snapdir.stores.file_failures import translate
from snapdir.stores.file_writing import FileWriter

__all__ = ["FileBatch"]


class FileBatch:
    """Writes to the store at ``root`` in the caller's thread: see ``BatchWriter``."""

    def __init__(self, root: str, writer: FileWriter) -> None:
        self._root = root
        self._writer = writer

    def put(self, key: str, data: Buffer, *, replace: bool) -> bool:
        with translate(self._root, key, writing=True):
            if not replace and self._length(key) == len(data):
                return False
            return self._writer.write(key, data, if_absent=False)

    def _length(self, key: str) -> int:
        try:
            return os.stat(os.path.join(self._root, key)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return -1
