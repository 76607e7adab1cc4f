"""Copy objects from a store on this host: reflink or copy in the kernel, then hash what landed. Blocking."""

from __future__ import annotations

import os

from snapdir.disk.clone import copy_contents
from snapdir.errors import CorruptObject, SnapdirError, local_error
from snapdir.hashing.files import hash_descriptor
from snapdir.hashing.tree import digest_of
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.transfer.events import Counters
from snapdir.transfer.landing import Landing
from snapdir.transfer.plan import Wanted

__all__ = ["place_local_objects"]


def place_local_objects(source: Repository, batch: list[Wanted], landing: Landing, counters: Counters) -> None:
    """Place every object of ``batch`` at its targets. Each byte is copied once and hashed once.

    Raises:
        ObjectNotFound, CorruptObject: as for any source; nothing of that object is left at a final name.
    """
    for one in batch:
        try:
            size = _place(source, one, landing)
        except SnapdirError as error:
            error.add_note(f"while copying {one.path}")
            raise
        counters.files_done += len(one.targets)
        counters.bytes_done += size * len(one.targets)


def _place(source: Repository, one: Wanted, landing: Landing) -> int:
    """Bytes of the object that was placed."""
    descriptor = _open_object(source, one)
    try:
        size = os.fstat(descriptor).st_size
        if size <= MIB:
            data = os.read(descriptor, size)
            _check(digest_of(data), source, one)
            landing.place_bytes(one, data)
        else:
            _place_large(source, one, landing, descriptor, size)
    finally:
        os.close(descriptor)
    return size


def _open_object(source: Repository, one: Wanted) -> int:
    path = source.local_object(one.digest)
    if path is None:
        raise source.lacks(one.digest, one.path)
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise source.lacks(one.digest, one.path) from error
    except OSError as error:
        raise local_error(error, path) from error


def _place_large(source: Repository, one: Wanted, landing: Landing, descriptor: int, size: int) -> None:
    temporary = landing.open_temporary(one)
    try:
        os.ftruncate(temporary, 0)
        copy_contents(descriptor, temporary, size)
        # What landed is hashed, not what was read: that proves the copy too, and one read serves both.
        _check(hash_descriptor(temporary)[0], source, one)
        landing.place_temporary(one, temporary)
    except OSError as error:
        landing.drop(one)
        raise local_error(error, landing.temporaries) from error
    except BaseException:
        landing.drop(one)
        raise
    finally:
        os.close(temporary)


def _check(actual: str, source: Repository, one: Wanted) -> None:
    if actual != one.digest:
        raise CorruptObject(source.object_name(one.digest), expected=one.digest, actual=actual)
