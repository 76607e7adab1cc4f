"""Copy objects from a store on this host: reflink or copy in the kernel, then hash what landed. Blocking."""

from __future__ import annotations

import os

from snapdir.disk.clone import copy_contents
from snapdir.errors import SnapdirError, local_error
from snapdir.hashing.files import hash_descriptor
from snapdir.hashing.tree import digest_of
from snapdir.repository.repository import Repository
from snapdir.transfer.download.local_objects import (
    SMALL_OBJECT_BYTES,
    ObjectFile,
    Unsound,
    is_unsound,
    open_object,
    require_digest,
)
from snapdir.transfer.download.object_sink import ObjectSink
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.plan import PlannedObject

__all__ = ["copy_local_objects"]


def copy_local_objects(
    source: Repository,
    batch: list[PlannedObject],
    sink: ObjectSink,
    counters: Counters,
    unsound: list[Unsound] | None = None,
) -> None:
    """Place every object of ``batch`` at its targets. Each byte is copied once and hashed once.

    Args:
        unsound: Takes objects that the source cannot give, and why; without it the first of them is an error.

    Raises:
        ObjectNotFound, CorruptObject: as for any source; nothing of that object is left at a final name.
        LocalError: the source or the destination cannot be read or written.
    Cancellation: within one block (of a copy in the kernel: 64 MiB). It needs a thread of ``anyio.to_thread``.
    """
    for one in batch:
        check_cancelled()
        try:
            size = _place(source, one, sink)
        except SnapdirError as error:
            error.add_note(f"while copying {one.path}")
            if unsound is None or not is_unsound(error, source, one):
                raise
            unsound.append(Unsound(one, error))
            continue
        counters.files_done += len(one.targets)
        counters.bytes_done += size * len(one.targets)


def _place(source: Repository, one: PlannedObject, sink: ObjectSink) -> int:
    """Bytes of the object that was placed."""
    file = open_object(source, one)
    try:
        if file.size <= SMALL_OBJECT_BYTES:
            data = _read(file)
            require_digest(digest_of(data), source, one)
            sink.write(one, data)
        else:
            _place_large(source, one, sink, file.descriptor, file.size)
    finally:
        os.close(file.descriptor)
    return file.size


def _read(file: ObjectFile) -> bytes:
    try:
        return os.read(file.descriptor, file.size)
    except OSError as error:
        raise local_error(error, file.path) from error


def _place_large(source: Repository, one: PlannedObject, sink: ObjectSink, descriptor: int, size: int) -> None:
    temporary = sink.open_temporary(one)
    try:
        os.ftruncate(temporary, 0)
        copy_contents(descriptor, temporary, size, between=check_cancelled)
        # What landed is hashed, not what was read: that proves the copy too, and one read serves both.
        require_digest(hash_descriptor(temporary, between=check_cancelled)[0], source, one)
        sink.publish_temporary(one, temporary)
    except OSError as error:
        sink.drop(one)
        raise local_error(error, sink.temporaries) from error
    except BaseException:
        sink.drop(one)
        raise
    finally:
        os.close(temporary)
