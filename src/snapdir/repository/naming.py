"""From the first digits of an id to the snapshot that is meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from snapdir.errors import AmbiguousId, UnknownId
from snapdir.model.digest import SnapshotId

__all__ = ["IdSource", "find_snapshot"]


class IdSource(NamedTuple):
    """Somewhere ids are known: how a message calls it, and how it is asked for those that start with some digits."""

    name: str
    find: Callable[[str], Awaitable[Iterable[str]]]


async def find_snapshot(digits: str, places: Sequence[IdSource]) -> SnapshotId:
    """The one id that starts with ``digits``, among all that ``places`` know.

    All of them are asked: that the first place knows one match does not make it the one that was meant.

    Raises:
        UnknownId: no place knows one.
        AmbiguousId: there are several.
    """
    found = set[str]()
    for place in places:
        found.update(await place.find(digits))
    if not found:
        raise UnknownId(digits, [place.name for place in places])
    if len(found) > 1:
        raise AmbiguousId(digits, sorted(found))
    return SnapshotId(found.pop())
