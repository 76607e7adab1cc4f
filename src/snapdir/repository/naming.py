"""From the first digits of an id to the whole id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from snapdir.errors import AmbiguousId, UnknownId
from snapdir.model.digest import SnapshotId

__all__ = ["IdSource", "find_snapshot"]


class IdSource(NamedTuple):
    """A place that knows ids: its name for messages, and a function that finds those that start with some digits."""

    name: str
    find: Callable[[str], Awaitable[Iterable[str]]]


async def find_snapshot(digits: str, sources: Sequence[IdSource]) -> SnapshotId:
    """The only id that starts with ``digits``, in all ``sources``.

    Raises:
        UnknownId: no source knows such an id.
        AmbiguousId: there are several.
    """
    matches = set[str]()
    for source in sources:
        matches.update(await source.find(digits))
    if not matches:
        raise UnknownId(digits, [source.name for source in sources])
    if len(matches) > 1:
        raise AmbiguousId(digits, sorted(matches))
    return SnapshotId(matches.pop())
