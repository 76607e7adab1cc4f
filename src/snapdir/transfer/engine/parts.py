"""The parts of a large object. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from snapdir.errors import StoreRefused
from snapdir.model.sizes import MIB, format_size
from snapdir.stores.base import Capabilities
from snapdir.transfer.engine.limits import Limits

LONE_SEGMENT_BYTES = 32 * MIB
"""Fetched by one request if an object has a single stream; with more streams a request fetches one part."""


class Part(NamedTuple):
    """Part ``number`` (from 1) of an object: ``length`` bytes from ``offset``."""

    number: int
    offset: int
    length: int


def part_size(size: int, preferred_bytes: int, capabilities: Capabilities) -> int:
    """Bytes of every part but the last: ``preferred_bytes``, or whole MiB more if the store allows too few parts.

    Raises:
        StoreRefused: the store cannot hold an object of ``size`` bytes.
    """
    smallest, largest = capabilities.part_size_range
    if size > capabilities.max_object_bytes:
        raise StoreRefused(
            f"an object of {format_size(size)} is larger than this store holds"
            f" ({format_size(capabilities.max_object_bytes)})"
        )
    needed = -(-size // capabilities.max_parts)
    if needed > preferred_bytes:
        preferred_bytes = -(-needed // MIB) * MIB
    return min(max(preferred_bytes, smallest), largest)


def held_part_size(size: int, limits: Limits, capabilities: Capabilities) -> int:
    """``part_size`` for parts that pass through memory on their way into a store.

    Raises:
        StoreRefused: the store cannot hold the object, or only in parts that are larger than the memory.
    """
    part_bytes = part_size(size, limits.part_bytes, capabilities)
    if part_bytes > max(limits.memory_bytes, limits.part_bytes, capabilities.part_size_range[0]):
        raise StoreRefused(
            f"an object of {format_size(size)} goes into this store in parts of {format_size(part_bytes)},"
            f" and --memory is {format_size(limits.memory_bytes)}"
        )
    return part_bytes


def parts_of(size: int, part_bytes: int, *, start: int = 0) -> Iterator[Part]:
    """The parts of an object of ``size`` bytes from ``start``; one empty part for an empty object."""
    for number, offset in enumerate(range(start, max(size, 1), part_bytes), start=1):
        yield Part(number, offset, min(part_bytes, size - offset))
