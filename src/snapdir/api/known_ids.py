"""Whether an id is known: as a snapshot of the cache or a store, as that of a directory, or in a history."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import anyio.to_thread

from snapdir.api.merging import merge, opened_catalog
from snapdir.api.resolve import find_cached
from snapdir.api.stores import StorePair, opened, opened_cache
from snapdir.catalog.locations import store_location
from snapdir.config import Config
from snapdir.disk.directory_record import recorded_ids
from snapdir.errors import CatalogError, ObjectNotFound, StoreMissing, UnknownId
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import manifest_key
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters


async def require_known(snapshot_id: SnapshotId, source: Repository | None, config: Config) -> None:
    """Make sure that an id without a record in any history is that of a snapshot.

    Raises:
        UnknownId: it is known neither on this machine nor in ``source``; the message names the places.
        StoreError: it is not known on this machine, and the store cannot be asked.
    """
    if await _is_known_here(snapshot_id, config) or (source is not None and await _is_stored(snapshot_id, source)):
        return
    raise UnknownId(snapshot_id, [*_places(config), *([source.url] if source is not None else [])])


async def require_known_sources(
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
