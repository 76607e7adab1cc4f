"""The objects of a store on this host, read as files: what each one hashes to. Blocking, but for ``find_unsound``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import CorruptObject, LocalError, ObjectNotFound, SnapdirError, local_error, local_errors
from snapdir.hashing.files import hash_descriptor
from snapdir.hashing.tree import digest_of
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.transfer.events import Counters
from snapdir.transfer.interruption import check_cancelled
from snapdir.transfer.limits import Limits
from snapdir.transfer.plan import Wanted
from snapdir.transfer.stages import batches, run_workers

__all__ = ["SMALL_OBJECT_BYTES", "Unsound", "find_unsound", "is_unsound", "opened_object", "require_digest"]

SMALL_OBJECT_BYTES = MIB
"""An object up to this size is read in one call."""

READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Unsound(NamedTuple):
    """An object that is absent, cannot be read or hashes to something else, and the error that says so."""

    one: Wanted
    error: SnapdirError


class ObjectFile(NamedTuple):
    """The open file of an object, ``size`` bytes long."""

    path: str
    descriptor: int
    size: int


@contextmanager
def opened_object(source: Repository, one: Wanted) -> Iterator[ObjectFile]:
    """The file of an object, open for the block.

    Raises:
        ObjectNotFound, CorruptObject, LocalError: it is absent, no regular file, or cannot be opened.
    """
    path = source.local_object(one.digest)
    if path is None:
        raise source.lacks(one.digest, one.path)
    try:
        descriptor = os.open(path, READ_FLAGS)
    except FileNotFoundError as error:
        raise source.lacks(one.digest, one.path) from error
    except OSError as error:
        raise local_error(error, path) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise source.damaged(one.digest, "something that is not a file")
        yield ObjectFile(os.fspath(path), descriptor, status.st_size)
    finally:
        os.close(descriptor)


def require_digest(actual: str, source: Repository, one: Wanted) -> None:
    """
    Raises:
        CorruptObject: ``actual`` is not what the object should hash to.
    """
    if actual != one.digest:
        raise source.damaged(one.digest, actual)


def is_unsound(error: SnapdirError, source: Repository, one: Wanted) -> bool:
    """Whether an error is about the object itself, and not about the place it was to be put in."""
    own = isinstance(error, LocalError) and error.path == str(source.local_object(one.digest))
    return own or isinstance(error, (CorruptObject, ObjectNotFound))


async def find_unsound(
    wanted: Sequence[Wanted], source: Repository, *, limits: Limits, counters: Counters
) -> list[Unsound]:
    """Hash every object of a store on this host; those that are not right, in the order given.

    Cost: 12 µs a small object, 0.2 s a GiB and hashing thread.
    Cancellation: stops within one block of the objects that are being hashed.
    """
    counters.begin("verify", files=len(wanted), bytes_=sum(one.size or 0 for one in wanted))
    small = [one for one in wanted if one.size is not None and one.size <= SMALL_OBJECT_BYTES]
    large = [[one] for one in wanted if one.size is None or one.size > SMALL_OBJECT_BYTES]
    found: list[Unsound] = []

    async def check(batch: list[Wanted]) -> None:
        found.extend(await anyio.to_thread.run_sync(partial(_unsound, batch, source, counters)))

    await run_workers([*large, *batches(small, limits.batch_files)], check, workers=limits.hashers)
    place = {one.digest: number for number, one in enumerate(wanted)} if found else {}
    return sorted(found, key=lambda unsound: place[unsound.one.digest])


def _unsound(batch: list[Wanted], source: Repository, counters: Counters) -> list[Unsound]:
    found = []
    for one in batch:
        try:
            with opened_object(source, one) as file:
                require_digest(_hash_of(file), source, one)
                counters.bytes_done += file.size
        except SnapdirError as error:
            error.add_note(f"needed by {one.path}")
            found.append(Unsound(one, error))
        counters.files_done += 1
    return found


def _hash_of(file: ObjectFile) -> str:
    with local_errors(file.path):
        if file.size <= SMALL_OBJECT_BYTES:
            return digest_of(os.read(file.descriptor, file.size + 1))
        return hash_descriptor(file.descriptor, between=check_cancelled)[0]
