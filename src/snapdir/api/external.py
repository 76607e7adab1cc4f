"""Verbs on a store that is a program: they work by way of the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.stores import IN_PROCESS, opened_cache, refuse_external
from snapdir.config import Config
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreURL
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.stores.external import ExternalStore
    from snapdir.transfer.engine.selection import Selection

__all__ = ["external_store", "fetch_outside", "push_outside", "staged_outside"]


def external_store(store: str | None, objects_store: str | None = None) -> ExternalStore | None:
    """The program that ``store`` means, if it means one.

    Raises:
        InvalidStore: no URL; or a program together with a pool, which it cannot use.
    """
    url = None if store is None else StoreURL.parse(store)
    if url is None or url.scheme in IN_PROCESS:
        return None
    if objects_store is not None:
        refuse_external("a pool of objects", objects_store, store)
    from snapdir.stores.external import ExternalStore

    return ExternalStore(url)


async def push_outside(
    snapshot_id: SnapshotId, store: ExternalStore, config: Config, *, verified: bool = False
) -> None:
    """Push a snapshot of the cache; its objects are hashed first, unless they are ``verified``."""
    from snapdir.transfer.external import push_external

    async with opened_cache(config) as cache:
        await push_external(snapshot_id, cache, store, limits=config.limits, verified=verified)


async def fetch_outside(
    snapshot_id: SnapshotId,
    store: ExternalStore,
    selection: Selection,
    *,
    dry_run: bool,
    config: Config,
    counters: Counters,
) -> Manifest:
    """Fetch a snapshot into the cache."""
    from snapdir.transfer.external import fetch_external
    from snapdir.transfer.fetch import FetchOptions

    options = FetchOptions(config.stores, selection, dry_run)
    async with opened_cache(config) as cache:
        report = await fetch_external(
            snapshot_id, store, cache, options=options, limits=config.limits, counters=counters
        )
    return report.manifest


@asynccontextmanager
async def staged_outside(
    snapshot_id: SnapshotId, store: ExternalStore, selection: Selection | None, config: Config
) -> AsyncIterator[tuple[Manifest, Repository]]:
    """A snapshot as the program brings it, in a directory that is gone after the block; the cache is left alone.

    Args:
        selection: The part of it to bring; None for nothing but the manifest.
    """
    from snapdir.transfer.engine.plan import plan_objects
    from snapdir.transfer.external import read_manifest, staged

    manifest = await read_manifest(snapshot_id, store)
    wanted = [] if selection is None else await anyio.to_thread.run_sync(lambda: plan_objects(selection.of(manifest)))
    async with staged(snapshot_id, manifest, wanted, store, config.cache_dir.expanduser().absolute()) as source:
        yield manifest, source
