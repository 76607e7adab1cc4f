"""Names of snapshots in a store: set by conditional writes, with every value they ever had.

``.refs/NAME`` holds the current value. Before it is replaced, its text is copied to ``.refs/.log/NAME/SEQUENCE``: all
writers that have read it write the same copy, so the history is whole whenever a write ends or fails. A deleted name
keeps its object, whose value is nothing: the sequence goes on if the name is set again, and a deletion is as safe
against concurrent writers as a change.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from snapdir.errors import (
    InvalidTag,
    LocalError,
    NameChanged,
    NoConditionalWrites,
    ObjectNotFound,
    StoreError,
    StoreRefused,
    UnknownName,
    ungrouped,
)
from snapdir.model.keys import REFS, tag_key, tag_log_key, tag_log_prefix
from snapdir.model.tags import MAX_TAG_BYTES, Tag, parse_tag
from snapdir.stores.base import Store, first_page
from snapdir.stores.retry import random_share
from snapdir.stores.workers import run_workers

ANY = "any"
"""The value of ``Change.expected`` that accepts every value."""

READS_AT_ONCE = 32
MAX_SHOWN_NAMES = 5
MAX_COMPARED_NAMES = 1000
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 4.0
MAX_CONFLICTS = 100
"""Lost races in a row, about five minutes: something other than concurrent writers is wrong then."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a name.

    Attributes:
        id: The snapshot; None deletes the name.
        by: Who makes it: ``user@host``.
        expected: The id that the name must have (None: none), or ANY.
        unsafe: Write without a condition if the store cannot write on one.
    """

    name: str
    id: str | None
    by: str
    expected: str | None = ANY
    unsafe: bool = False


async def find_tag(store: Store, name: str) -> Tag | None:
    """The current value of a name; None if it was never set. One request.

    Raises:
        InvalidTag: the object holds something else.
    """
    stored = await _read(store, tag_key(name))
    return None if stored is None else parse_tag(name, stored, f"{store.url}/{tag_key(name)}")


async def list_tags(store: Store) -> tuple[list[Tag], list[InvalidTag]]:
    """All names that mean a snapshot, the latest change first, and the objects that hold something else.

    Cost: a request for each 1,000 names, and one for each name.
    """
    names = await _names(store)
    found: list[Tag] = []
    invalid: list[InvalidTag] = []

    async def read(name: str) -> None:
        try:
            tag = await find_tag(store, name)
        except InvalidTag as error:
            invalid.append(error)
        else:
            found.extend([tag] if tag and tag.id else [])

    with ungrouped(f"read the names of {store.url}"):
        await run_workers(names, read, workers=READS_AT_ONCE)
    found.sort(key=lambda tag: (tag.created_at, tag.name), reverse=True)
    return found, sorted(invalid, key=str)


async def _names(store: Store) -> list[str]:
    """The names that have an object, deleted ones too."""
    return [
        info.key.removeprefix(REFS)
        async for page in store.list(REFS)
        for info in page
        if not info.key.startswith(f"{REFS}.")
    ]


async def unknown_name(name: str, store: Store, *, can_be_id: bool = True) -> UnknownName:
    """The error for a name that a store does not have, with some of those that it has, similar ones first.

    Args:
        can_be_id: An id would have done as well.

    Cost: a request for each 1,000 names, and one for each that is shown. A store that cannot list them shows none.
    """
    from difflib import get_close_matches

    shown: list[str] = []
    with suppress(LocalError, StoreError):
        known = await _names(store)
        close = get_close_matches(name, known[:MAX_COMPARED_NAMES], n=MAX_SHOWN_NAMES, cutoff=0.5)
        for each in list(dict.fromkeys([*close, *known]))[:MAX_SHOWN_NAMES]:
            with suppress(InvalidTag):
                tag = await find_tag(store, each)
                shown += [each] if tag and tag.id else []
    return UnknownName(name, store.url, names=shown, can_be_id=can_be_id)


async def tag_history(store: Store, name: str, *, limit: int | None = None) -> list[Tag]:
    """The values of a name, the current one first. Values that were removed from the store are left out.

    Raises:
        UnknownName: it was never set.
        InvalidTag: an object of its history holds something else.
    Cost: one request for each.
    """
    current = await find_tag(store, name)
    if current is None:
        raise await unknown_name(name, store, can_be_id=False)
    found = {current.sequence: current}

    async def read(sequence: int) -> None:
        logged = await _logged(store, name, sequence)
        if logged is not None:
            found[sequence] = logged

    oldest = 1 if limit is None else max(1, current.sequence + 1 - limit)
    with ungrouped(f"read the history of {name}"):
        await run_workers(range(oldest, current.sequence), read, workers=READS_AT_ONCE)
    return [found[sequence] for sequence in sorted(found, reverse=True)]


async def set_tag(
    store: Store,
    change: Change,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> Tag:
    """Set a name, and return its value; one that it has already is not set again.

    Without ``expected``, a change that loses a race is made again, on top of the other one.

    Raises:
        NameChanged: the name has another value than ``expected``.
        UnknownName: there is no such name to delete.
        NoConditionalWrites: the store has no conditional writes, and the change is not ``unsafe``.
        InvalidTag: the object of the name holds something else.
    Cost: three requests, more for a new name, and after a race.
    """
    for conflicts in range(MAX_CONFLICTS):
        current = await find_tag(store, change.name)
        _require_expected(change, current)
        if (current.id if current else None) == change.id:
            if current is None or change.id is None:
                raise await unknown_name(change.name, store, can_be_id=False)
            return current
        following = await _following(store, change, current, clock())
        if await _replaced(store, current, following, unsafe=change.unsafe):
            return following
        await sleep(random_share() * min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**conflicts))
    raise StoreRefused(f"{change.name}: {MAX_CONFLICTS} writes in a row lost against others; run again later")


def _require_expected(change: Change, current: Tag | None) -> None:
    actual = current.id if current else None
    if change.expected not in (ANY, actual):
        raise NameChanged(change.name, change.expected, actual)


async def _following(store: Store, change: Change, current: Tag | None, now: datetime) -> Tag:
    """The value that follows ``current``."""
    sequence = current.sequence + 1 if current else await _first_sequence(store, change.name)
    previous = current.id if current else None
    return Tag(change.name, change.id, sequence, previous, tag_now(now), change.by, os.urandom(16).hex())


def tag_now(now: datetime) -> str:
    """``now`` as tags write it."""
    return now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


async def _first_sequence(store: Store, name: str) -> int:
    """The first sequence of a name that has no object: 1, or one more than the last in its history.

    Raises:
        StoreRefused: the name is below another one, or another one below it: a directory and a file in a local store.
    """
    parts = name.split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if await _read(store, tag_key(above)) is not None:
            raise StoreRefused(f"{name!r} cannot be a name beside {above!r}, which is or was one")
    if below := await first_page(store, f"{tag_key(name)}/"):
        raise StoreRefused(f"{name!r} cannot be a name beside {below[0].key.removeprefix(REFS)!r}, which is or was one")
    sequences = [
        int(rest)
        async for page in store.list(tag_log_prefix(name))
        for info in page
        if (rest := info.key.removeprefix(tag_log_prefix(name))).isdecimal()
    ]
    return max(sequences, default=0) + 1


async def _replaced(store: Store, current: Tag | None, following: Tag, *, unsafe: bool) -> bool:
    """Write ``following`` in the place of ``current``; False if the name has another value meanwhile."""
    if current is not None:
        await store.write(tag_log_key(current.name, current.sequence), current.stored, if_absent=True)
        await store.flush()
    key = tag_key(following.name)
    try:
        if await store.swap(key, current.stored if current else None, following.stored):
            return True
    except NoConditionalWrites as error:
        if not unsafe:
            error.add_note("concurrent changes of a name could be lost: --unsafe sets it anyway")
            raise
        await store.write(key, following.stored)
        await store.flush()
        return True
    # Our write may have come first, its response got lost, and the next writer may have replaced it already.
    return await _logged(store, following.name, following.sequence) == following


async def _logged(store: Store, name: str, sequence: int) -> Tag | None:
    key = tag_log_key(name, sequence)
    stored = await _read(store, key)
    return None if stored is None else parse_tag(name, stored, f"{store.url}/{key}")


async def _read(store: Store, key: str) -> bytes | None:
    try:
        return await store.read(key, length=MAX_TAG_BYTES + 1)
    except ObjectNotFound:
        return None
