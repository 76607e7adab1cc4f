"""A manifest's sizes are hints: the format lets them be wrong, and only the hash decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from snapdir.errors import CorruptObject
from snapdir.model.sizes import GIB
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.planned_objects import PlannedObject

BELIEVED_BYTES = GIB
"""A larger size is looked up before anything is prepared for it: one request among many."""

Result = TypeVar("Result")


async def with_true_size(
    source: Repository, planned: PlannedObject, read: Callable[[int], Awaitable[Result]]
) -> Result:
    """``read(size)`` with the manifest's size, or with the store's if that is missing or wrong.

    Raises:
        ObjectNotFound: the store has no such object.
        CorruptObject: the bytes are wrong, also at the size that the store gives.
    Cost: one more request if the size is unknown, wrong, or more than BELIEVED_BYTES.
    """
    hint = planned.size
    if hint is not None and hint <= BELIEVED_BYTES:
        try:
            return await read(hint)
        except CorruptObject:
            planned.size = await _stored_size(source, planned)
            if planned.size == hint:
                raise
    else:
        planned.size = await _stored_size(source, planned)
    return await read(planned.size)


async def _stored_size(source: Repository, planned: PlannedObject) -> int:
    size = await source.object_size(planned.digest)
    if size is None:
        raise source.lacks(planned.digest, planned.path)
    return size
