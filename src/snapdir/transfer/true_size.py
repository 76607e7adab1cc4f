"""A manifest's sizes are hints: the format lets them be wrong, and only the hash decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from snapdir.errors import CorruptObject
from snapdir.repository.repository import Repository
from snapdir.transfer.plan import Wanted

__all__ = ["with_true_size"]

Result = TypeVar("Result")


async def with_true_size(source: Repository, one: Wanted, read: Callable[[int], Awaitable[Result]]) -> Result:
    """``read(size)`` with the manifest's size, or with the store's where there is none or the bytes do not fit it.

    Raises:
        ObjectNotFound: the store has no such object.
        CorruptObject: the bytes are wrong, and not because of a wrong size in the manifest.
    Cost: no request of its own unless the size is unknown, impossible or wrong.
    """
    hint = one.size
    if hint is not None and hint <= source.objects.capabilities.max_object_bytes:
        try:
            return await read(hint)
        except CorruptObject:
            one.size = await _stored_size(source, one)
            if one.size == hint:
                raise
    else:
        one.size = await _stored_size(source, one)
    return await read(one.size)


async def _stored_size(source: Repository, one: Wanted) -> int:
    size = await source.object_size(one.digest)
    if size is None:
        raise source.lacks(one.digest, one.path)
    return size
