"""Whether an id is known: as a snapshot of the cache or a store, as that of a directory, or in a history; and the
snapshots that another one was derived from, each of which must be known somewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

import anyio.to_thread

from snapdir.api.merging import merge, opened_catalog
from snapdir.api.resolve import Ref, find_cached, full_id, id_here, parse_ref, require_published
from snapdir.api.stores import StorePair, opened, opened_cache
from snapdir.catalog.locations import store_location
from snapdir.config import Config
from snapdir.disk.directory_record import recorded_ids
from snapdir.errors import (
    CatalogError,
    InvalidOption,
    InvalidStore,
    LocalError,
    ObjectNotFound,
    StoreError,
    StoreMissing,
    UnknownId,
    UnknownName,
)
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import manifest_key
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters

UNCHECKED = "--unchecked records the sources of --derived-from without looking for them"


async def require_known(snapshot_id: SnapshotId, source: Repository | None, config: Config) -> None:
    """Make sure that an id without a record in any history is that of a snapshot.

    Raises:
        UnknownId: it is known neither on this machine nor in ``source``; the message names the places.
        StoreError: it is not known on this machine, and the store cannot be asked.
    """
    if await _is_known_here(snapshot_id, config) or (source is not None and await _is_stored(snapshot_id, source)):
        return
    raise UnknownId(snapshot_id, [*_places(config), *([source.url] if source is not None else [])])


async def _require_known_sources(
    snapshot_ids: Sequence[SnapshotId], stores: StorePair, config: Config, counters: Counters
) -> None:
    """Make sure that each id is known on this machine, or to the store that a push goes to.

    Raises:
        UnknownId: an id is known nowhere; the message names the places.
        StoreError: an id is not known on this machine, and the store cannot be asked.
    Cost: no request for ids that are known on this machine; otherwise one each, and reading the store's history.
    """
    unknown = [each for each in snapshot_ids if not await _is_known_here(each, config)]
    places = _places(config)
    if unknown and stores.url is not None and stores.program is None:
        places.append(str(stores.url))
        with suppress(StoreMissing):  # it knows nothing yet
            async with opened(stores, config) as source:
                unknown = [each for each in unknown if not await _is_stored(each, source)]
                if unknown:
                    unknown = await _unmentioned(unknown, source, store_location(stores.url), config, counters)
    if unknown:
        raise UnknownId(unknown[0], places)


def _places(config: Config) -> list[str]:
    return [f"the cache at {config.cache_dir}", *([f"the catalog {config.catalog}"] if config.catalog else [])]


async def _is_known_here(snapshot_id: SnapshotId, config: Config) -> bool:
    if config.catalog is not None and await anyio.to_thread.run_sync(_is_recorded, snapshot_id, config):
        return True
    async with opened_cache(config) as cache:
        if await find_cached(cache, snapshot_id, needed=False):
            return True
    return snapshot_id in await anyio.to_thread.run_sync(recorded_ids, config.cache_dir)


def _is_recorded(snapshot_id: SnapshotId, config: Config) -> bool:
    from snapdir.catalog.catalog import Catalog

    if config.catalog is None or not os.path.isfile(config.catalog):
        return False
    try:
        with Catalog(config.catalog, reading=True) as catalog:
            return catalog.mentions(snapshot_id)
    except CatalogError:
        return False


async def _is_stored(snapshot_id: SnapshotId, source: Repository) -> bool:
    try:
        await source.store.stat(manifest_key(snapshot_id))
    except ObjectNotFound:
        return False
    return True


async def _unmentioned(
    snapshot_ids: list[SnapshotId], source: Repository, location: str, config: Config, counters: Counters
) -> list[SnapshotId]:
    async with opened_catalog(config, counters, needed=False) as history:
        await merge(history, source, location, counters)
        return [each for each in snapshot_ids if not await anyio.to_thread.run_sync(history.mentions, each)]


async def resolve_sources(
    derived_from: Sequence[str], stores: StorePair, config: Config, counters: Counters, *, unchecked: bool
) -> tuple[SnapshotId, ...]:
    """The ids of the snapshots in ``derived_from``, each once.

    Args:
        derived_from: Ids, first digits of ids that this machine knows, names in the store of ``stores``, and
            ``STORE@ID`` or ``STORE@NAME`` of any store, which must have the snapshot.
        unchecked: Whole ids are not looked for.

    Raises:
        InvalidId, AmbiguousId, UnknownName, InvalidStore, InvalidOption: one does not name a snapshot.
        UnknownId: an id is known neither on this machine nor to the store.
        ManifestNotFound: the store of a ``STORE@ID`` does not have it.
        StoreError: a store that has to be asked cannot be read.
    """
    elsewhere = await anyio.to_thread.run_sync(_refs, derived_from)
    near = {text: await _here(text, stores, config, counters) for text in derived_from if text not in elsewhere}
    if near and not unchecked:
        try:
            await _require_known_sources(list(near.values()), stores, config, counters)
        except (StoreError, LocalError) as error:
            error.add_note(UNCHECKED)
            raise
    found = near | await _in_other_stores(elsewhere.values(), config, counters, unchecked=unchecked)
    return tuple(dict.fromkeys(found[text] for text in derived_from))


def _refs(derived_from: Iterable[str]) -> dict[str, Ref]:
    """Those that name their store, parsed.

    Raises:
        InvalidStore, InvalidOption: a store without an id, or a directory.
    """
    refs = {text: parse_ref(text, verb="--derived-from") for text in derived_from if _names_store(text)}
    for text, ref in refs.items():
        if ref.store is None:
            raise InvalidOption(f"{text} is a directory: --derived-from takes ids, names, STORE@ID and STORE@NAME")
        if ref.snapshot_id is None:
            store = store_location(ref.store)
            raise InvalidStore(f"{store} is a store: name one of its snapshots, {store}@ID")
    return refs


def _names_store(text: str) -> bool:
    return isinstance(text, str) and ("@" in text or "://" in text)


async def _here(text: str, stores: StorePair, config: Config, counters: Counters) -> SnapshotId:
    try:
        return await id_here(stores, text, config, counters)
    except StoreMissing as error:  # the push creates the store
        raise UnknownName(text, str(stores.required)) from error


async def _in_other_stores(
    refs: Iterable[Ref], config: Config, counters: Counters, *, unchecked: bool
) -> dict[str, SnapshotId]:
    """The ids by what was given. Each store is opened once."""
    refs = list(refs)
    found: dict[str, SnapshotId] = {}
    for store in dict.fromkeys(ref.store for ref in refs):
        async with opened(StorePair(store), config) as source:
            for ref in refs:
                if ref.store == store:
                    found[ref.typed] = await _in_store(ref, source, config, counters, unchecked=unchecked)
    return found


async def _in_store(ref: Ref, source: Repository, config: Config, counters: Counters, *, unchecked: bool) -> SnapshotId:
    """The snapshot of a ``STORE@ID``; a name is noted together with its store."""
    noted = Counters()
    snapshot_id = await full_id(ref.snapshot_id or "", config, source, counters=noted)
    counters.warnings += noted.warnings
    if not unchecked:
        try:
            await require_published(snapshot_id, source)
        except (StoreError, LocalError) as error:
            error.add_note(UNCHECKED)
            raise
    for name in noted.names:
        counters.resolved(f"{source.url}@{name}", snapshot_id)
    return snapshot_id
