"""The objects of a store on this host, as files: hashed where they are, or copied (by reflink or in the kernel)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

import anyio.to_thread

from snapdir.disk.clone import copy_contents
from snapdir.errors import (
    CorruptObject,
    LocalError,
    ObjectNotFound,
    SnapdirError,
    TransferFailed,
    local_error,
    ungrouped,
)
from snapdir.hashing.files import hash_descriptor
from snapdir.hashing.tree import digest_of
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.workers import batches, run_workers
from snapdir.transfer.download.object_sink import ObjectSink
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, planned_objects

SMALL_OBJECT_BYTES = MIB
"""An object up to this size is read in one call."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""These errors are not about an object: this process, or the machine, can open no more files."""

READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

Mend = Callable[[Sequence[PlannedObject]], Awaitable[None]]
"""Fetches objects of a cache again, and replaces them in the cache."""


class Unsound(NamedTuple):
    """An object that is absent, cannot be read or hashes to something else, and the error that says so."""

    planned: PlannedObject
    error: SnapdirError


class _ObjectFile(NamedTuple):
    path: str
    descriptor: int
    size: int


async def require_sound(
    objects: Sequence[PlannedObject], cache: Repository, mend: Mend | None, *, limits: Limits, counters: Counters
) -> None:
    """Hash every one of ``objects``, and have ``mend`` fetch damaged and absent ones again.

    Raises:
        ObjectNotFound, CorruptObject, LocalError: an object is damaged or absent, and ``mend`` is None or did not help;
            TransferFailed for several.
    """
    unsound = await find_unsound(objects, cache, limits=limits, counters=counters)
    if unsound and mend is not None:
        again = [planned for planned, _ in unsound]
        await mend(again)
        unsound = await find_unsound(again, cache, limits=limits, counters=counters)
    if len(unsound) == 1:
        raise unsound[0].error
    if unsound:
        raise TransferFailed(f"{len(unsound)} objects of {cache.url}", [error for _, error in unsound])


async def find_unsound(
    objects: Sequence[PlannedObject], source: Repository, *, limits: Limits, counters: Counters
) -> list[Unsound]:
    """Hash every object of a store on this host; those that are absent or damaged, in the order given.

    Raises:
        LocalError: this process, or the machine, can open no more files.
    Cost: 20 µs per small object, 0.2 s per GiB and hashing thread.
    Cancellation: stops within one block of the objects that are being hashed.
    """
    counters.begin_objects("verify", objects)
    unsound: list[Unsound] = []

    async def check(batch: list[PlannedObject]) -> None:
        unsound.extend(await anyio.to_thread.run_sync(_unsound_of, batch, source, counters))

    with ungrouped(f"read the objects of {source.url}"):
        await run_workers(_shared_out(objects, limits), check, workers=limits.hashers)
    position = {planned.digest: number for number, planned in enumerate(objects)} if unsound else {}
    return sorted(unsound, key=lambda each: position[each.planned.digest])


def _unsound_of(batch: list[PlannedObject], source: Repository, counters: Counters) -> list[Unsound]:
    unsound: list[Unsound] = []
    for planned in batch:
        try:
            size = _require_sound(source, planned)
            counters.bytes_done += size  # not in one line: other threads count while this one hashes
        except SnapdirError as error:
            if not _is_unsound(error, source, planned):
                raise
            error.add_note(f"needed by {planned.path}")
            unsound.append(Unsound(planned, error))
        counters.files_done += 1
    return unsound


def _require_sound(source: Repository, planned: PlannedObject) -> int:
    """Bytes of an object, which hash right."""
    file = _open_object(source, planned)
    try:
        if file.size <= SMALL_OBJECT_BYTES:
            actual: str = digest_of(os.read(file.descriptor, file.size + 1))
        else:
            actual = hash_descriptor(file.descriptor, between=check_cancelled)[0]
    except OSError as error:
        raise local_error(error, file.path) from error
    finally:
        os.close(file.descriptor)
    _require_digest(actual, source, planned)
    return file.size


async def copy_objects(
    source: Repository,
    objects: Sequence[PlannedObject],
    sink: ObjectSink,
    *,
    limits: Limits,
    counters: Counters,
    unsound: list[Unsound] | None = None,
) -> None:
    """``copy_local_objects`` in a thread for each core."""

    async def copy(batch: list[PlannedObject]) -> None:
        await anyio.to_thread.run_sync(copy_local_objects, source, batch, sink, counters, unsound)

    await run_workers(_shared_out(objects, limits), copy, workers=limits.hashers)


def _shared_out(objects: Sequence[PlannedObject], limits: Limits) -> Iterator[list[PlannedObject]]:
    """Work for threads: each large object on its own, then the small ones in batches."""
    small, large = planned_objects(objects).parted(
        lambda planned: planned.size is not None and planned.size <= SMALL_OBJECT_BYTES
    )
    yield from batches(large, 1)
    yield from batches(small, limits.batch_files)


def copy_local_objects(
    source: Repository,
    batch: list[PlannedObject],
    sink: ObjectSink,
    counters: Counters,
    unsound: list[Unsound] | None = None,
) -> None:
    """Put every object of ``batch`` at its targets. Each byte is copied once and hashed once. Blocking.

    Args:
        unsound: Collects missing and damaged objects of the source, and why; without it the first is an error.

    Raises:
        ObjectNotFound, CorruptObject: as for any source; nothing of that object is left at a final name.
        LocalError: the source or the destination cannot be read or written.
    Cancellation: within one block (of a copy in the kernel: 64 MiB). It needs a thread of ``anyio.to_thread``.
    """
    for planned in batch:
        check_cancelled()
        try:
            size = _copy(source, planned, sink)
        except SnapdirError as error:
            error.add_note(f"while copying {planned.path}")
            if unsound is None or not _is_unsound(error, source, planned):
                raise
            unsound.append(Unsound(planned, error))
            continue
        if not source.is_cache:
            counters.objects_received += 1
            counters.bytes_received += size
        copies = len(planned.targets)
        counters.files_done += copies  # without a call in between, in which another thread could count
        counters.bytes_done += size * copies


def _copy(source: Repository, planned: PlannedObject, sink: ObjectSink) -> int:
    """Bytes of the object that was copied."""
    file = _open_object(source, planned)
    try:
        if file.size <= SMALL_OBJECT_BYTES:
            data = _read(file)
            _require_digest(digest_of(data), source, planned)
            sink.write(planned, data)
        else:
            _copy_large(source, planned, sink, file)
    finally:
        os.close(file.descriptor)
    return file.size


def _read(file: _ObjectFile) -> bytes:
    try:
        return os.read(file.descriptor, file.size)
    except OSError as error:
        raise local_error(error, file.path) from error


def _copy_large(source: Repository, planned: PlannedObject, sink: ObjectSink, file: _ObjectFile) -> None:
    temporary = sink.open_temporary(planned)
    try:
        os.ftruncate(temporary, 0)
        copy_contents(file.descriptor, temporary, file.size, between=check_cancelled)
        # The copy is hashed, not the original: that proves the copy too, and one read serves both.
        _require_digest(hash_descriptor(temporary, between=check_cancelled)[0], source, planned)
        sink.publish_temporary(planned, temporary)
    except OSError as error:
        sink.drop(planned)
        raise local_error(error, sink.temporaries) from error
    except BaseException:
        sink.drop(planned)
        raise
    finally:
        os.close(temporary)


def _open_object(source: Repository, planned: PlannedObject) -> _ObjectFile:
    """The file of an object; the caller closes its descriptor. (A context manager would cost 3 of 20 µs per object.)

    Raises:
        ObjectNotFound, CorruptObject, LocalError: it is absent, no regular file, or cannot be opened.
    """
    path = source.local_object(planned.digest)
    if path is None:
        raise source.lacks(planned.digest, planned.path)
    text = os.fspath(path)
    try:
        descriptor = os.open(text, READ_FLAGS)
    except FileNotFoundError as error:
        raise source.lacks(planned.digest, planned.path) from error
    except OSError as error:
        raise local_error(error, text) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise source.damaged(planned.digest, "something that is not a file")
    return _ObjectFile(text, descriptor, status.st_size)


def _require_digest(actual: str, source: Repository, planned: PlannedObject) -> None:
    if actual != planned.digest:
        raise source.damaged(planned.digest, actual)


def _is_unsound(error: SnapdirError, source: Repository, planned: PlannedObject) -> bool:
    """Whether an error is about the object itself: not about the destination, nor about this process."""
    if isinstance(error, LocalError):
        return error.path == str(source.local_object(planned.digest)) and error.errno not in OUT_OF_RESOURCES
    return isinstance(error, (CorruptObject, ObjectNotFound))
