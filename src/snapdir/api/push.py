"""From a directory or the cache into a store: push, push_cached, stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anyio.to_thread

from snapdir.api.destination import own_locations
from snapdir.api.external import external_store, push_outside
from snapdir.api.manifest import id_from_manifest, read_tree
from snapdir.api.recording import Publication, provenance_of
from snapdir.api.resolve import full_id
from snapdir.api.stores import (
    PathLike,
    cached,
    exclude_patterns,
    journal_of,
    local_path,
    location_of,
    object_roots,
    opened,
    opened_cache,
    refuse_keyed,
    require_usable,
    require_usable_cache,
)
from snapdir.catalog.locations import directory_location, store_location
from snapdir.config import Config
from snapdir.errors import IncompleteCache
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.model.paths import check_materialisable
from snapdir.model.patterns import exclusion
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.snapshot import TreeOptions

__all__ = ["push", "push_cached", "stage"]


async def stage(
    path: PathLike,
    *,
    no_follow: bool = False,
    exclude: Sequence[str] | None = None,
    dry_run: bool = False,
    derived_from: Sequence[str] = (),
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Put a directory's snapshot into the cache and return its id. As ``push`` with the cache as the store, but
    recorded at its directory, in the catalog only: without one, ``derived_from``, ``note`` and ``labels`` raise
    InvalidOption."""
    config = config or Config()
    counters = counters or Counters()
    refuse_keyed(config)
    options = TreeOptions(
        follow=not no_follow,
        excluded=exclusion(exclude_patterns(exclude)),
        object_roots=object_roots(config),
        own_locations=own_locations(config),
    )
    provenance = await provenance_of(derived_from, note, labels, config, store_keeps=False)
    publication = Publication(config, counters, announce, provenance)
    location = await location_of(directory_location, local_path(path))
    if dry_run:
        await require_usable_cache(config)
        return await _only_named(path, options, publication)
    async with opened_cache(config) as cache:
        staged = await _keep_tree(path, cache, options, config, counters)
        await publication.complete(staged, "stage", staged, location)
    return staged


async def push(
    path: PathLike,
    store: str,
    *,
    objects_store: str | None = None,
    no_follow: bool = False,
    exclude: Sequence[str] | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    derived_from: Sequence[str] = (),
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Put a directory's snapshot into a store and return its id. See ``transfer.push.push`` for every promise.

    It is recorded if ``config`` names a catalog, and in its store too unless ``config.shared_catalog`` is false.
    Without a catalog, ``derived_from``, ``note`` and ``labels`` are recorded in the store. A failed record is a
    warning in ``counters``.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Send every object again, whatever the store says it has.
        dry_run: Only find the id, and whether the store answers; nothing is written or recorded.
        derived_from: Ids of the snapshots this one was made from. For the history, as the next two.
        note: Free text.
        labels: Keys and their values.
        announce: Called with the id, in a thread, when the snapshot is complete and before it is recorded.

    Raises:
        InvalidOption: ``derived_from``, ``note`` or ``labels``, with no history to record them in: no catalog, and a
            store that is a program or ``shared_catalog`` off. Raised before anything is sent.
    """
    config = config or Config()
    counters = counters or Counters()
    refuse_keyed(config)
    program = external_store(store, objects_store)
    if program is not None:
        await anyio.to_thread.run_sync(program.require)
    options = TreeOptions(
        follow=not no_follow,
        excluded=exclusion(exclude_patterns(exclude)),
        object_roots=object_roots(config, store, objects_store),
        own_locations=own_locations(config, store, objects_store),
    )
    provenance = await provenance_of(derived_from, note, labels, config, store_keeps=program is None)
    publication = Publication(config, counters, announce, provenance)
    location = await location_of(store_location, store)
    if dry_run:
        if program is None:
            await require_usable(store, config, objects_store)
        return await _only_named(path, options, publication)
    if program is not None:
        async with opened_cache(config) as cache:
            pushed = await _keep_tree(path, cache, options, config, counters)
        await push_outside(SnapshotId(pushed), program, config, verified=True)
        await publication.complete(pushed, "push", pushed, location)
        return pushed
    async with opened(store, config, objects_store) as to:
        pushed = await _push_tree(path, to, options, config, counters, recheck=recheck)
        await publication.complete(pushed, "push", pushed, location, store=to.store)
    return pushed


async def _only_named(path: PathLike, options: TreeOptions, publication: Publication[str]) -> str:
    found = await read_tree(path, options, publication.config, publication.counters)
    identifier = await anyio.to_thread.run_sync(id_from_manifest, found)
    await publication.tell(identifier)
    return identifier


async def _push_tree(
    path: PathLike,
    to: Repository,
    options: TreeOptions,
    config: Config,
    counters: Counters,
    *,
    recheck: bool = False,
) -> str:
    from snapdir.repository.known import KnownSnapshots
    from snapdir.transfer.push import PushOptions
    from snapdir.transfer.push import push as push_tree

    remote = to.objects.capabilities.remote
    report = await push_tree(
        local_path(path),
        to,
        options=PushOptions(options, recheck),
        limits=config.limits,
        counters=counters,
        known=KnownSnapshots(config.cache_dir, to.location) if remote else None,
        journal=journal_of(to, config),
    )
    return str(report.id)


async def _keep_tree(
    path: PathLike, cache: Repository, options: TreeOptions, config: Config, counters: Counters
) -> str:
    """Push a tree into the cache, and replace objects that the cache held already and that are damaged."""
    from snapdir.repository.cache import set_aside
    from snapdir.transfer.download.local_objects import find_unsound
    from snapdir.transfer.engine.plan import plan_objects

    kept = await _push_tree(path, cache, options, config, counters)
    if not counters.objects_skipped:
        return kept  # all of it was written, from bytes that were hashed
    objects = plan_objects(await cached(SnapshotId(kept), cache))
    unsound = await find_unsound(objects, cache, limits=config.limits, counters=Counters())
    if unsound:
        async with set_aside([planned.digest for planned, _ in unsound], cache):
            kept = await _push_tree(path, cache, options, config, Counters())
        path = unsound[0].planned.path
        counters.warnings.append(
            f"{len(unsound)} damaged object(s) of the cache have been replaced; the first is for {path}"
        )
    return kept


async def push_cached(
    snapshot_id: str,
    store: str,
    *,
    objects_store: str | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    derived_from: Sequence[str] = (),
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Put a snapshot that is in the cache into a store. Recorded as by ``push``.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Read every object the store has and send those that are wrong again.
        dry_run: As in ``push``; an object that neither the cache nor the store has is an error.
        derived_from, note, labels, announce: As in ``push``.

    Raises:
        ManifestNotFound: it is not in the cache.
        ObjectNotFound: the cache and the store both lack an object.
        UnsafePath: no pull would take its manifest.
    """
    from snapdir.transfer.sync import StoreSync, SyncOptions

    config = config or Config()
    counters = counters or Counters()
    identifier = await full_id(snapshot_id, config)
    program = external_store(store, objects_store)
    provenance = await provenance_of(derived_from, note, labels, config, store_keeps=program is None)
    publication = Publication(config, counters, announce, provenance)
    location = await location_of(store_location, store)
    async with opened_cache(config) as cache:
        manifest = await cached(identifier, cache)
        await anyio.to_thread.run_sync(check_materialisable, manifest.entries)
        if dry_run:
            await _rehearse_push(identifier, manifest, cache, (store, objects_store), config, recheck=recheck)
            await publication.tell(str(identifier))
        elif program is not None:
            await push_outside(identifier, program, config)
            await publication.complete(str(identifier), "push", identifier, location)
        else:
            async with opened(store, config, objects_store) as to:
                journal = journal_of(to, config)
                options = SyncOptions(recheck=recheck)
                pair = StoreSync(cache, to, options=options, limits=config.limits, counters=counters, journal=journal)
                await pair.copy(identifier)
                await publication.complete(str(identifier), "push", identifier, location, store=to.store)
    return str(identifier)


async def _rehearse_push(
    identifier: SnapshotId,
    manifest: Manifest,
    cache: Repository,
    stores: tuple[str, str | None],
    config: Config,
    *,
    recheck: bool,
) -> None:
    """Fail where ``push_cached`` would for want of a store, or of objects in the cache. Nothing is written."""
    from snapdir.repository.cache import require_cached
    from snapdir.transfer.sync import StoreSync, SyncOptions

    store, pool = stores
    program = external_store(store, pool)
    if program is not None:
        await anyio.to_thread.run_sync(program.require)
    else:
        await require_usable(store, config, pool)
    try:
        await anyio.to_thread.run_sync(require_cached, identifier, manifest, cache)
    except IncompleteCache:
        if program is not None:
            raise
        options = SyncOptions(recheck=recheck, dry_run=True)
        async with opened(store, config, pool) as to:
            await StoreSync(cache, to, options=options, limits=config.limits, counters=Counters()).copy(identifier)
