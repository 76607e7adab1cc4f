"""Checking stores and the cache, and emptying the cache: verify, examine, verify_cache, flush_cache."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio.to_thread

from snapdir.api.resolve import full_id, id_here
from snapdir.api.stores import (
    PathLike,
    StorePair,
    cache_hint,
    local_path,
    opened,
    opened_cache,
    parse_stores,
    pool_hint,
)
from snapdir.config import Config
from snapdir.errors import without_secrets
from snapdir.model.arguments import checked
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.reports import CacheReport, SnapshotReport


@checked
async def verify(
    snapshot_id: str,
    store: PathLike,
    *,
    objects_store: PathLike | None = None,
    repair_from: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> bool:
    """Read and hash every object of a snapshot in a store. Returns True if all are right.

    Args:
        objects_store: The pool that holds the objects, if ``store`` does not.
        repair_from: A directory with files of the same content: missing and damaged objects are sent again from it.
    """
    from snapdir.transfer.repair import repair

    config, counters = config or Config(), counters or Counters()
    stores = await parse_stores(store, objects_store)
    if repair_from is not None:
        async with opened(stores, config, counters) as source:
            identifier = await full_id(snapshot_id, config, source, counters=counters)
            await repair(identifier, source, local_path(repair_from), limits=config.limits, counters=counters)
        return True
    report = await _examine(snapshot_id, stores, config, counters)
    with pool_hint(stores):
        report.require_sound()
    return True


@checked
async def examine(
    snapshot_id: str,
    store: PathLike,
    *,
    objects_store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> SnapshotReport:
    """``verify``, but missing and corrupt objects are returned in a report instead of raised as an error.

    Raises:
        ManifestNotFound, CorruptManifest, InvalidManifest: the manifest is missing or damaged.
        StoreError: the store fails.
    """
    stores = await parse_stores(store, objects_store)
    return await _examine(snapshot_id, stores, config or Config(), counters or Counters())


async def _examine(snapshot_id: str, stores: StorePair, config: Config, counters: Counters) -> SnapshotReport:
    from snapdir.transfer.engine.selection import EVERYTHING
    from snapdir.transfer.external import staged_snapshot
    from snapdir.transfer.verify import check_snapshot

    check = partial(check_snapshot, limits=config.limits, counters=counters)
    program = stores.program
    if program is not None:
        identifier = await id_here(stores, snapshot_id, config, counters)
        async with staged_snapshot(identifier, program, EVERYTHING, config.cache_dir) as (_, source):
            return replace(await check(identifier, source), store=without_secrets(program.url))
    async with opened(stores, config, counters) as source:
        return await check(await full_id(snapshot_id, config, source, counters=counters), source)


@checked
async def verify_cache(
    snapshot_id: str | None = None,
    *,
    purge: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> CacheReport:
    """Hash every object of the cache, and check that every object of its manifests is there. An empty cache is sound.

    Args:
        purge: Remove corrupt objects and the remains of killed runs, unless ``dry_run``.
    """
    from snapdir.disk.run_folder import sweep
    from snapdir.model.keys import PARTIAL
    from snapdir.transfer.verify import check_cache

    config = config or Config()
    if purge and not dry_run:
        await anyio.to_thread.run_sync(sweep, config.cache_dir / PARTIAL)
    async with opened_cache(config) as cache:
        identifier = None if snapshot_id is None else await full_id(snapshot_id, config)
        return await check_cache(
            cache, identifier, purge=purge and not dry_run, limits=config.limits, counters=counters or Counters()
        )


@checked
async def flush_cache(*, dry_run: bool = False, config: Config | None = None) -> None:
    """Remove all snapshots and objects of the cache, and nothing else from its directory.

    Raises:
        LocalError: the directory does not look like a cache.
    """
    from snapdir.disk.cache_directory import flush

    config = config or Config()
    with cache_hint(config):
        await anyio.to_thread.run_sync(partial(flush, config.cache_dir, dry_run=dry_run))
