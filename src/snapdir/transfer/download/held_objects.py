"""Objects that a cache holds already: copied from there instead of fetched."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import anyio.to_thread

from snapdir.model.keys import OBJECTS, object_key
from snapdir.repository.cache import cache_root
from snapdir.repository.repository import Repository
from snapdir.transfer.download.local_objects import Unsound, copy_objects
from snapdir.transfer.download.object_sink import ObjectSink
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, PlannedObjects, planned_objects


class HeldObjects(NamedTuple):
    """What a cache holds, for a pull that writes to its destination.

    Attributes:
        mend: Fetches damaged objects into the cache, and says whether it did; None leaves the cache as it is.
    """

    cache: Repository
    mend: Callable[[Sequence[PlannedObject]], Awaitable[bool]] | None = None


class Split(NamedTuple):
    """Objects that a cache holds, and the others, each in the order given; ``damaged`` are others with a wrong file."""

    held: PlannedObjects
    others: PlannedObjects
    damaged: list[PlannedObject]


def split_held(objects: Sequence[PlannedObject], cache: Repository) -> Split:
    """Those of ``objects`` that a cache holds, at their length; their bytes are not read. Blocking; 5 µs per object."""
    root = os.path.join(cache_root(cache), "")
    planned = planned_objects(objects)
    if not os.path.isdir(root + OBJECTS):
        return Split(PlannedObjects(), planned, [])
    damaged: list[PlannedObject] = []
    held, others = planned.parted(partial(_is_held, root, damaged))
    return Split(held, others, damaged)


def _is_held(root: str, damaged: list[PlannedObject], planned: PlannedObject) -> bool:
    try:
        status = os.stat(root + object_key(planned.digest))
        is_held = stat.S_ISREG(status.st_mode) and planned.size in (None, status.st_size)
    except FileNotFoundError:
        return False
    except OSError:
        is_held = False
    if not is_held:
        damaged.append(planned)
    return is_held


async def copy_held(
    objects: Sequence[PlannedObject], held: HeldObjects, sink: ObjectSink, *, limits: Limits, counters: Counters
) -> Sequence[PlannedObject]:
    """Copy those of ``objects`` that a cache holds, verified, and return the others.

    Objects that are damaged in the cache are mended and copied. Those that cannot be mended are returned too, and a
    warning says how to remove them from the cache.
    """
    split = await anyio.to_thread.run_sync(split_held, objects, held.cache)
    unsound: list[Unsound] = []
    if split.held:
        await copy_objects(held.cache, split.held, sink, limits=limits, counters=counters, unsound=unsound)
    counters.objects_skipped += len(split.held) - len(unsound)
    damaged = split.damaged + [planned for planned, _ in unsound]
    if not damaged:
        return split.others
    if held.mend is not None and await held.mend(damaged):
        mended = {planned.digest for planned in damaged}
        await copy_objects(held.cache, damaged, sink, limits=limits, counters=counters)
        return split.others.where(lambda planned: planned.digest not in mended)
    if unsound:
        counters.warnings.append(
            f"{len(unsound)} damaged object(s) in the cache were not used; the first is for"
            f" {unsound[0].planned.path}; `snapdir verify-cache --purge` removes them"
        )
    return [*split.others, *(planned for planned, _ in unsound)]
