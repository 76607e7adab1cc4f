"""Upload of a large object in parts, into a store in a directory."""

from __future__ import annotations

from snapdir.disk.descriptors import Handle
from snapdir.errors import StoreRefused
from snapdir.stores.base import Body, NoServerCopy, NotResumable, body_length
from snapdir.stores.file.failures import in_thread
from snapdir.stores.file.writing import FileWriter, remove


class FileUpload(NoServerCopy, NotResumable):
    """Writes parts at their offsets into one temporary, which ``commit`` renames.

    The temporary has the mode of the object from the start. Its descriptor closes with the last reference to it, from
    the upload or from a part being written. A later run removes the temporary of an abandoned upload.
    """

    def __init__(
        self, writer: FileWriter, root: str, temporary: str, file: Handle, *, key: str, size: int, part_bytes: int
    ) -> None:
        self._writer = writer
        self._root = root
        self._temporary = temporary
        self._file = file
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
        await in_thread(self._root, self._key, lambda: self._writer.fill(self._file.fd, body, offset), writing=True)
        self._written.add(number)

    async def commit(self) -> None:
        missing = next((number for number in range(1, self._count + 1) if number not in self._written), None)
        if missing is not None:
            raise self._refused(f"part {missing} is missing")
        await in_thread(self._root, self._key, self._publish, writing=True)

    async def abort(self) -> None:
        await in_thread(self._root, self._key, lambda: remove(self._temporary))

    def _publish(self) -> None:
        self._writer.prepare(self._key)
        self._writer.publish(self._temporary, self._key)

    def _refused(self, reason: str) -> StoreRefused:
        return StoreRefused(
            f"{self._key}: {reason} in an upload of {self._size} bytes in parts of {self._part_bytes}", key=self._key
        )
