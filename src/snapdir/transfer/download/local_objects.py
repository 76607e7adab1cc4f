"""The objects of a store on this host, read as files: what each one hashes to. Blocking, but for ``find_unsound``."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import CorruptObject, LocalError, ObjectNotFound, SnapdirError, local_error, ungrouped
from snapdir.hashing.files import hash_descriptor
from snapdir.hashing.tree import digest_of
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject
from snapdir.transfer.engine.stages import batches, run_workers

__all__ = ["SMALL_OBJECT_BYTES", "ObjectFile", "Unsound", "find_unsound", "is_unsound", "open_object", "require_digest"]

SMALL_OBJECT_BYTES = MIB
"""An object up to this size is read in one call."""

OUT_OF_MEANS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""They say nothing of an object: this process, or the machine, can open no more."""

READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Unsound(NamedTuple):
    """An object that is absent, cannot be read or hashes to something else, and the error that says so."""

    one: PlannedObject
    error: SnapdirError


class ObjectFile(NamedTuple):
    """The open file of an object, ``size`` bytes long."""

    path: str
    descriptor: int
    size: int


def open_object(source: Repository, one: PlannedObject) -> ObjectFile:
    """The file of an object; the caller closes its descriptor. (A context manager would cost 3 µs, of 20 an object.)

    Raises:
        ObjectNotFound, CorruptObject, LocalError: it is absent, no regular file, or cannot be opened.
    """
    path = source.local_object(one.digest)
    if path is None:
        raise source.lacks(one.digest, one.path)
    text = os.fspath(path)
    try:
        descriptor = os.open(text, READ_FLAGS)
    except FileNotFoundError as error:
        raise source.lacks(one.digest, one.path) from error
    except OSError as error:
        raise local_error(error, text) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise source.damaged(one.digest, "something that is not a file")
    return ObjectFile(text, descriptor, status.st_size)


def require_digest(actual: str, source: Repository, one: PlannedObject) -> None:
    """Accept an object's bytes by their hash.

    Raises:
        CorruptObject: ``actual`` is not what the object should hash to.
    """
    if actual != one.digest:
        raise source.damaged(one.digest, actual)


def is_unsound(error: SnapdirError, source: Repository, one: PlannedObject) -> bool:
    """Whether an error is about the object itself: not about the place it was to be put in, nor about this process."""
    if isinstance(error, LocalError):
        return error.path == str(source.local_object(one.digest)) and error.errno not in OUT_OF_MEANS
    return isinstance(error, (CorruptObject, ObjectNotFound))


async def find_unsound(
    wanted: Sequence[PlannedObject], source: Repository, *, limits: Limits, counters: Counters
) -> list[Unsound]:
    """Hash every object of a store on this host; those that are absent or damaged, in the order given.

    Raises:
        LocalError: this process, or the machine, can open no more files.
    Cost: 20 µs a small object, 0.2 s a GiB and hashing thread.
    Cancellation: stops within one block of the objects that are being hashed.
    """
    counters.begin("verify", files=len(wanted), bytes_=sum(one.size or 0 for one in wanted))
    small = [one for one in wanted if one.size is not None and one.size <= SMALL_OBJECT_BYTES]
    large = [[one] for one in wanted if one.size is None or one.size > SMALL_OBJECT_BYTES]
    found: list[Unsound] = []

    async def check(batch: list[PlannedObject]) -> None:
        found.extend(await anyio.to_thread.run_sync(partial(_unsound, batch, source, counters)))

    with ungrouped(f"read the objects of {source.url}"):
        await run_workers([*large, *batches(small, limits.batch_files)], check, workers=limits.hashers)
    place = {one.digest: number for number, one in enumerate(wanted)} if found else {}
    return sorted(found, key=lambda unsound: place[unsound.one.digest])


def _unsound(batch: list[PlannedObject], source: Repository, counters: Counters) -> list[Unsound]:
    found = []
    for one in batch:
        try:
            size = _require_sound(source, one)
            counters.bytes_done += size  # not in one line: other threads count while this one hashes
        except SnapdirError as error:
            if not is_unsound(error, source, one):
                raise
            error.add_note(f"needed by {one.path}")
            found.append(Unsound(one, error))
        counters.files_done += 1
    return found


def _require_sound(source: Repository, one: PlannedObject) -> int:
    """Bytes of an object, which hash right."""
    file = open_object(source, one)
    try:
        if file.size <= SMALL_OBJECT_BYTES:
            actual: str = digest_of(os.read(file.descriptor, file.size + 1))
        else:
            actual = hash_descriptor(file.descriptor, between=check_cancelled)[0]
    except OSError as error:
        raise local_error(error, file.path) from error
    finally:
        os.close(file.descriptor)
    require_digest(actual, source, one)
    return file.size
