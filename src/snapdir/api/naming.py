"""Which snapshot an id means: all of its digits, or the first eight or more."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import anyio.to_thread

from snapdir.api.external import external_store
from snapdir.api.opening import opened, opened_cache
from snapdir.config import Config
from snapdir.errors import AccessDenied, CatalogError, StoreMissing
from snapdir.model.digest import ID_DIGITS, SnapshotId, id_prefix
from snapdir.repository.repository import Repository

__all__ = ["full_id", "resolve_id"]


async def resolve_id(snapshot_id: str, store: str | None = None, *, config: Config | None = None) -> str:
    """The whole id of a snapshot, from its first digits: 8 at least, in either case.

    The cache is looked through, the catalog of ``config``, and ``store``; exactly one id may match.

    Raises:
        InvalidId: not the digits of an id, or too few.
        UnknownId: none matches; the message says where was looked.
        AmbiguousId: several match; ``matches`` lists them.
    Cost: one request (a page of a listing); none for 64 digits, which are not looked up.
    """
    config = config or Config()
    if store is None or len(snapshot_id) == ID_DIGITS or external_store(store) is not None:
        return await full_id(snapshot_id, config)
    async with opened(store, config) as source:
        return await full_id(snapshot_id, config, source)


async def full_id(snapshot_id: str, config: Config, *sources: Repository | None) -> SnapshotId:
    """``resolve_id`` among the cache, the catalog and repositories that are open already."""
    if len(snapshot_id) == ID_DIGITS:
        return SnapshotId(snapshot_id)
    digits = id_prefix(snapshot_id)
    from snapdir.repository.naming import IdSource, find_snapshot

    async with opened_cache(config) as cache:
        find_cached = partial(_find_cached, cache, needed=not any(sources))
        places = [IdSource(f"the cache at {config.cache_dir}", find_cached)]
        if config.catalog is not None and await anyio.to_thread.run_sync(os.path.isfile, config.catalog):
            places.append(IdSource(f"the catalog {config.catalog}", partial(_find_recorded, config.catalog)))
        places += [IdSource(source.url, source.find_snapshots) for source in sources if source is not None]
        return await find_snapshot(digits, places)


async def _find_cached(cache: Repository, digits: str, *, needed: bool) -> Iterable[str]:
    from snapdir.repository.incomplete import find_incomplete

    try:
        return {*await cache.find_snapshots(digits), *await find_incomplete(digits, cache)}
    except StoreMissing:
        return ()  # a cache that was never filled
    except AccessDenied:
        if needed:
            raise
        return ()


async def _find_recorded(file: Path, digits: str) -> Iterable[str]:
    return await anyio.to_thread.run_sync(_recorded, file, digits)


def _recorded(file: Path, digits: str) -> Iterable[str]:
    from snapdir.catalog.catalog import Catalog

    try:
        with Catalog(file, reading=True) as catalog:
            return catalog.ids_that_start(digits)
    except CatalogError:
        return ()  # the history only helps to find an id: one that cannot be read stops no transfer
