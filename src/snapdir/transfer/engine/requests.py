"""About how many requests a transfer of objects takes: the estimate of a dry run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from snapdir.disk.system import usable_cpus
from snapdir.model.digest import EMPTY_DIGEST
from snapdir.stores.base import Capabilities
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import LONE_SEGMENT_BYTES, part_size
from snapdir.transfer.engine.planned_objects import PlannedObject

BEGIN_AND_COMPLETE = 2
"""Requests of an upload in parts, besides its parts."""


def reading_requests(
    objects: Sequence[PlannedObject], store: Capabilities, limits: Limits, *, in_streams: bool = True
) -> int:
    """To read whole objects: one each, and more for a large one; 0 for a store on this host.

    An object of uncertain size is looked up first. The empty one is not read.

    Args:
        in_streams: Large objects come in streams (see ``LargeObjects``), not part by part.
    """
    if not store.remote:
        return 0
    large = _large_sizes(objects, limits)
    if in_streams:
        later_bytes = LONE_SEGMENT_BYTES if len(large) >= 2 * usable_cpus() else limits.part_bytes
        ranges = sum(1 + _pieces(max(0, size - LONE_SEGMENT_BYTES), later_bytes) for size in large)
    else:
        ranges = sum(_pieces(size, limits.part_bytes) for size in large)
    whole = sum(planned.digest != EMPTY_DIGEST for planned in objects) - len(large)
    return whole + ranges + sum(planned.size is None for planned in objects)


def writing_requests(objects: Sequence[PlannedObject], store: Capabilities, limits: Limits) -> int:
    """To write objects: one each, and for a large one each part and BEGIN_AND_COMPLETE; 0 for a store on this host."""
    if not store.remote:
        return 0
    large = _large_sizes(objects, limits)
    parts = sum(_pieces(size, part_size(size, limits.part_bytes, store)) for size in large)
    return len(objects) - len(large) + parts + BEGIN_AND_COMPLETE * len(large)


def _large_sizes(objects: Sequence[PlannedObject], limits: Limits) -> list[int]:
    return [planned.size for planned in objects if planned.size is not None and planned.size > limits.large_bytes]


def _pieces(size: int, piece_bytes: int) -> int:
    return -(-size // piece_bytes)
