"""A large object that comes in parts into a store in a directory."""

from __future__ import annotations

import os

from snapdir.errors import StoreRefused
from snapdir.stores.base import Body, NoServerCopy, NotResumable, body_length
from snapdir.stores.file_failures import in_thread
from snapdir.stores.file_writing import FileWriter, final_mode, remove

__all__ = ["FileUpload"]


class FileUpload(NoServerCopy, NotResumable):
    """Parts land at their final offsets of one temporary; ``commit`` renames it.

    The temporary is opened once a part (3 µs beside the hop's 113), so an upload that is forgotten holds no
    descriptor, and an abort cannot take one away from under a part. The next run sweeps it.
    """

    def __init__(self, writer: FileWriter, root: str, temporary: str, *, key: str, size: int, part_bytes: int) -> None:
        self._writer = writer
        self._root = root
        self._temporary = temporary
        self._key = key
        self._size = size
        self._part_bytes = part_bytes
        self._count = -(-size // part_bytes)
        self._written: set[int] = set()

    async def write_part(self, number: int, body: Body) -> None:
        offset = (number - 1) * self._part_bytes
        expected = min(self._part_bytes, self._size - offset)
        if number < 1 or expected <= 0 or body_length(body) != expected:
            raise self._refused(f"part {number} of {body_length(body)} bytes does not fit")
        await in_thread(self._root, self._key, lambda: self._fill(body, offset), writing=True)
        self._written.add(number)

    async def commit(self) -> None:
        missing = next((number for number in range(1, self._count + 1) if number not in self._written), None)
        if missing is not None:
            raise self._refused(f"part {missing} is missing")
        await in_thread(self._root, self._key, self._publish, writing=True)

    async def abort(self) -> None:
        await in_thread(self._root, self._key, lambda: remove(self._temporary))

    def _fill(self, body: Body, offset: int) -> None:
        fd = os.open(self._temporary, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._writer.fill(fd, body, offset)
        finally:
            os.close(fd)

    def _publish(self) -> None:
        # The umask is in the mode already: see FileWriter.
        os.chmod(self._temporary, os.stat(self._temporary).st_mode & final_mode(self._key))
        self._writer.prepare(self._key)
        self._writer.publish(self._temporary, self._key)

    def _refused(self, reason: str) -> StoreRefused:
        return StoreRefused(
            f"{self._key}: {reason} in an upload of {self._size} bytes in parts of {self._part_bytes}", key=self._key
        )
