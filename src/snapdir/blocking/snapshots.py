"""``snapdir.open_snapshot`` without a loop, with files for Python's libraries."""

from __future__ import annotations

import io
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

import snapdir
from snapdir.api.snapshots import refuse_pickling
from snapdir.blocking.portal import own_portal

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from snapdir.api.stores import PathLike
    from snapdir.config import Config
    from snapdir.transfer.download.reading import Verify
    from snapdir.transfer.engine.events import Counters

FILE_BUFFER_BYTES = 128 * 1024
"""Small reads share one hop to the loop (and, unverified, one request)."""


def open_snapshot(
    snapshot_id: str,
    store: PathLike | None = None,
    *,
    objects_store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Snapshot:
    """``snapdir.open_snapshot``: open a snapshot for reading; close it, or use it in a ``with``."""
    opening = partial(
        snapdir.open_snapshot, snapshot_id, store, objects_store=objects_store, config=config, counters=counters
    )
    return Snapshot(own_portal.run(opening))


class Snapshot:
    """``snapdir.Snapshot`` without a loop. Any number of threads may read from it."""

    def __init__(self, snapshot: snapdir.Snapshot) -> None:
        self._snapshot = snapshot
        self.id = snapshot.id
        self.manifest = snapshot.manifest

    @property
    def files(self) -> snapdir.Files:
        """Entries of all files by path."""
        return self._snapshot.files

    def open(self, path: str, *, verify: Verify = "before") -> io.BufferedReader:
        """Open one file for reading: a binary file as of ``open(path, "rb")``. See ``snapdir.Snapshot.open``."""
        file = own_portal.run(partial(self._snapshot.open, path, verify=verify))
        return BufferedSnapshotFile(SnapshotFile(file), FILE_BUFFER_BYTES)

    def read(self, path: str) -> bytes:
        """The whole of one file, verified."""
        return own_portal.run(partial(self._snapshot.read, path))

    def close(self) -> None:
        """Close the store. Safe to repeat."""
        own_portal.run(self._snapshot.aclose)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._snapshot)

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("snapshot")


class SnapshotFile(io.RawIOBase):
    """``snapdir.SnapshotFile`` as a raw Python file; ``Snapshot.open`` buffers it."""

    def __init__(self, file: snapdir.SnapshotFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            data = own_portal.run(partial(self._file.read, len(view)))
            view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return own_portal.run(self._file.read)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close_nowait()  # also called when Python ends and no loop can be started any more
        super().close()

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("file of a snapshot")


class BufferedSnapshotFile(io.BufferedReader):
    """The buffer before a ``SnapshotFile``."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:  # its own since Python 3.12, asked first
        raise refuse_pickling("file of a snapshot")
