"""A manifest's sizes are hints: the format lets them be wrong, and only the hash decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from snapdir.errors import CorruptObject
from snapdir.model.sizes import GIB
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.plan import PlannedObject

__all__ = ["with_true_size"]

BELIEVED_BYTES = GIB
"""A larger size is asked for before anything is made ready for it: one request in what takes many."""

Result = TypeVar("Result")


async def with_true_size(source: Repository, one: PlannedObject, read: Callable[[int], Awaitable[Result]]) -> Result:
    """``read(size)`` with the manifest's size, or with the store's where there is none or the bytes do not fit it.

    Raises:
        ObjectNotFound: the store has no such object.
        CorruptObject: the bytes are wrong, and not because of a wrong size in the manifest.
    Cost: no request of its own unless the size is unknown, wrong, or more than BELIEVED_BYTES.
    """
    hint = one.size
    if hint is not None and hint <= BELIEVED_BYTES:
        try:
            return await read(hint)
        except CorruptObject:
            one.size = await _stored_size(source, one)
            if one.size == hint:
                raise
    else:
        one.size = await _stored_size(source, one)
    return await read(one.size)


async def _stored_size(source: Repository, one: PlannedObject) -> int:
    size = await source.object_size(one.digest)
    if size is None:
        raise source.lacks(one.digest, one.path)
    return size
