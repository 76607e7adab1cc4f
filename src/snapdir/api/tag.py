"""Names of snapshots: tag, tags, delete_tag, tag_log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import anyio.to_thread

from snapdir.api.resolve import full_id, require_published
from snapdir.api.stores import PathLike, opened, parse_stores, require_in_process
from snapdir.config import Config
from snapdir.errors import InvalidOption, LocalError, StoreError, TransferFailed
from snapdir.model.arguments import checked
from snapdir.model.tags import NONE, Tag, checked_name
from snapdir.repository.repository import Repository
from snapdir.repository.tags import ANY, Change, list_tags, set_tag, tag_history
from snapdir.transfer.engine.events import Counters

MAX_AUTHOR_CHARACTERS = 255

_UNSEEN = re.compile(r"[^!-~]")


@checked
async def tag(
    name: str,
    id: str,
    store: PathLike,
    *,
    expect: str | None = None,
    unsafe: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Tag:
    """Give a snapshot of a store a name there, and return what was written.

    A name that means another snapshot is moved, and its history keeps the old one. No concurrent change is lost:
    each is in the history once.

    Args:
        name: 1 to 255 ASCII letters, digits and ``._-/``, not hexadecimal digits only, not ``latest`` or ``none``. No
            part between slashes is empty or begins with a dot.
        id: The snapshot: an id, its first 8 or more digits, or another name.
        expect: Fail unless the name means this snapshot, or with ``"none"``, unless there is no such name.
        unsafe: Also in a store without conditional writes, where one of two concurrent changes may be lost.

    Raises:
        InvalidId: ``name`` cannot be a name.
        InvalidOption: ``expect`` is ``name`` itself.
        ManifestNotFound: the store has no such snapshot.
        NameChanged: see ``expect``; nothing was changed.
        NoConditionalWrites: see ``unsafe``.
        InvalidStore: a store program, which has no names.
    Cost: four requests, a few more for a new name, in a service other than AWS, and after a lost race.
    """
    _check(name, expect)
    config, counters = config or Config(), counters or Counters()
    stores = await parse_stores(store)
    require_in_process(stores, verb="tag")
    async with opened(stores, config) as source:
        snapshot_id = await full_id(id, config, source, counters=counters)
        await require_published(snapshot_id, source)
        change = Change(name, snapshot_id, await _author(), await _expected(expect, source, config, counters), unsafe)
        return await set_tag(source.store, change)


@checked
async def delete_tag(
    name: str,
    store: PathLike,
    *,
    expect: str | None = None,
    unsafe: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Tag:
    """Delete a name, but no snapshot. Its history stays, and goes on if it is set again.

    Args:
        expect, unsafe: As for ``tag``.

    Returns:
        The deletion: ``id`` is None, and ``previous`` the snapshot that had the name.

    Raises:
        UnknownName: there is no such name.
        NameChanged, NoConditionalWrites, InvalidStore, InvalidOption: As for ``tag``.
    """
    _check(name, expect)
    config = config or Config()
    stores = await parse_stores(store)
    require_in_process(stores, verb="tag")
    async with opened(stores, config) as source:
        change = Change(name, None, await _author(), await _expected(expect, source, config, counters), unsafe)
        return await set_tag(source.store, change)


@checked
async def tags(store: PathLike, *, config: Config | None = None, counters: Counters | None = None) -> list[Tag]:
    """The names of a store, the latest change first. One that cannot be read is a warning in ``counters``.

    Cost: a request for each 1,000 names, and one for each name.
    """
    stores = await parse_stores(store)
    require_in_process(stores, verb="tag")
    async with opened(stores, config or Config()) as source:
        found, invalid = await list_tags(source.store)
    if counters is not None:
        counters.warnings += map(str, invalid)
    return found


@checked
async def tag_log(name: str, store: PathLike, *, limit: int | None = None, config: Config | None = None) -> list[Tag]:
    """Every value that a name has had in a store, the current one first; ``id`` is None where it was deleted.

    Args:
        limit: Maximum number of values; None for all.

    Raises:
        UnknownName: it was never set.
    Cost: one request for each.
    """
    checked_name(name)
    stores = await parse_stores(store)
    require_in_process(stores, verb="tag")
    async with opened(stores, config or Config()) as source:
        return await tag_history(source.store, name, limit=limit)


async def names_of_snapshots(source: Repository, counters: Counters) -> Mapping[str, Sequence[str]]:
    """The names of each snapshot that has some, sorted. If they cannot be read, ``counters`` gets a warning."""
    try:
        found, invalid = await list_tags(source.store)
    except (LocalError, StoreError, TransferFailed) as error:
        counters.warnings.append(f"the names in {source.url} cannot be read, and are left out: {error}")
        return {}
    counters.warnings += map(str, invalid)
    names: dict[str, list[str]] = {}
    for each in sorted(found):
        names.setdefault(each.id or "", []).append(each.name)
    return names


def _check(name: str, expect: str | None) -> None:
    checked_name(name)
    if expect == name:
        raise InvalidOption(f"to expect that {name} is {name} checks nothing: expect the id that it has, or {NONE!r}")


async def _expected(expect: str | None, source: Repository, config: Config, counters: Counters | None) -> str | None:
    """``Change.expected`` for an ``expect``."""
    if expect is None:
        return ANY
    return None if expect == NONE else await full_id(expect, config, source, counters=counters)


async def _author() -> str:
    """The user and the host, for people who read the history."""
    return await anyio.to_thread.run_sync(_user_at_host)


def _user_at_host() -> str:
    import getpass
    import os
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container often has no entry for its user
        user = str(os.getuid())
    return "@".join(_UNSEEN.sub("?", part)[:MAX_AUTHOR_CHARACTERS] or "?" for part in (user, socket.gethostname()))
