"""Objects that a cache holds already: copied from there instead of fetched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import anyio.to_thread

from snapdir.model.keys import OBJECTS, object_key
from snapdir.repository.cache import cache_root
from snapdir.repository.repository import Repository
from snapdir.transfer.download.local_objects import Unsound, copy_objects
from snapdir.transfer.download.object_sink import ObjectSink
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject


class Split(NamedTuple):
    """Objects that a cache holds, and the others, each in the order given."""

    held: list[PlannedObject]
    others: list[PlannedObject]


def split_held(objects: Iterable[PlannedObject], cache: Repository) -> Split:
    """Those of ``objects`` that a cache holds, at their length; their bytes are not read. Blocking; 5 µs per object."""
    root = os.path.join(cache_root(cache), "")
    if not os.path.isdir(root + OBJECTS):
        return Split([], list(objects))
    split = Split([], [])
    for planned in objects:
        (split.held if _is_held(root, planned) else split.others).append(planned)
    return split


def _is_held(root: str, planned: PlannedObject) -> bool:
    try:
        status = os.stat(root + object_key(planned.digest))
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and planned.size in (None, status.st_size)


async def copy_held(
    objects: Sequence[PlannedObject], cache: Repository, sink: ObjectSink, *, limits: Limits, counters: Counters
) -> list[PlannedObject]:
    """Copy those of ``objects`` that a cache holds, verified; the others, and those that are damaged there.

    The cache stays as it is: a warning says how to remove damaged objects from it.
    """
    held, others = await anyio.to_thread.run_sync(split_held, objects, cache)
    unsound: list[Unsound] = []
    if held:
        await copy_objects(cache, held, sink, limits=limits, counters=counters, unsound=unsound)
    if unsound:
        counters.warnings.append(
            f"{len(unsound)} damaged object(s) in the cache were not used; the first is for"
            f" {unsound[0].planned.path}; `snapdir verify-cache --purge` removes them"
        )
    counters.objects_skipped += len(held) - len(unsound)
    return others + [planned for planned, _ in unsound]
