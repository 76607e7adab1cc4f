"""From a directory or the cache into a store: push, push_cached, stage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.manifest import id_from_manifest, read_tree
from snapdir.api.recording import Publication, publication_of, remember
from snapdir.api.resolve import id_here
from snapdir.api.stores import (
    PathLike,
    StorePair,
    journal_of,
    local_path,
    opened,
    opened_cache,
    parse_stores,
    refuse_keyed,
    require_answer,
)
from snapdir.api.tree_options import TreeArguments, tree_options
from snapdir.catalog.locations import directory_location, store_location
from snapdir.config import Config
from snapdir.model.arguments import checked
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.model.paths import check_materialisable
from snapdir.repository.cache import held_manifest, require_cached, set_aside
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.push import PushOptions, rehearse_push
from snapdir.transfer.push import push as push_tree

if TYPE_CHECKING:
    from snapdir.repository.known import KnownSnapshots
    from snapdir.transfer.sync import SyncOptions


@checked
async def stage(
    path: PathLike,
    *,
    no_follow: bool = False,
    dereference: bool = False,
    exclude: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    ignore_from: Sequence[PathLike] | None = None,
    dry_run: bool = False,
    derived_from: Sequence[str] | None = None,
    unchecked: bool = False,
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Store a directory in the cache and return its id.

    Arguments, errors and cancellation are those of ``push``, with the cache as the store. The snapshot is recorded at
    its directory, in the catalog only: without a catalog, ``derived_from``, ``note`` and ``labels`` raise
    InvalidOption.
    """
    config, counters = config or Config(), counters or Counters()
    refuse_keyed(config)
    given = TreeArguments(exclude, ignore, ignore_from, no_follow, dereference)
    options = PushOptions(await tree_options(given, config, StorePair()))
    publication = await publication_of(
        config,
        counters,
        announce,
        derived_from=derived_from,
        unchecked=unchecked,
        note=note,
        labels=labels,
        stores=StorePair(),
    )
    location = await anyio.to_thread.run_sync(directory_location, local_path(path))
    async with opened_cache(config) as cache:
        if dry_run:
            await require_answer(cache)
            return await _rehearse_tree(path, cache, options, publication)
        staged = await _keep_tree(path, cache, options, config, counters)
        await publication.complete(staged, "stage", staged, location)
    await remember(path, staged, "stage", options=options.tree, stores=StorePair(), config=config)
    return staged


@checked
async def push(
    path: PathLike,
    store: PathLike,
    *,
    objects_store: PathLike | None = None,
    no_follow: bool = False,
    dereference: bool = False,
    exclude: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    ignore_from: Sequence[PathLike] | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    derived_from: Sequence[str] | None = None,
    unchecked: bool = False,
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Store a directory and return its id.

    Only objects that the store lacks are sent. The manifest is written last: a push that fails publishes no snapshot.

    The push is recorded in the store, unless ``config.shared_catalog`` is false, and in ``config.catalog``, if that is
    set. (A store program keeps no history.) If a record cannot be written, ``counters`` gets a warning.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        no_follow, dereference, exclude, ignore, ignore_from: How the directory is read; as for ``manifest``.
        recheck: Send every object again, even if the store has it.
        dry_run: Write and record nothing: only compute the id, and count in ``counters`` what would be sent
            (``objects_to_send``, ``bytes_to_send``, ``requests_to_send``). A store program counts as empty.
        derived_from: Ids of the snapshots from which this one was made, for the history. Each must be known to this
            machine (its cache, catalog, checkouts and pushes) or to the store (its snapshots and their history).
            ``STORE@ID`` and ``STORE@NAME`` mean a snapshot of another store, which must have it.
        unchecked: Record ``derived_from`` without looking for the ids.
        note: Text for the history.
        labels: Keys and values for the history.
        announce: Called with the id, in a thread, when the snapshot is complete and before it is recorded.

    Raises:
        WalkFailed, UnsafeName, InFluxError, LocalError: the directory cannot be read, or changes meanwhile.
        StoreError: the store fails; TransferFailed for several failures.
        UnknownId: a source in ``derived_from`` is known nowhere; ManifestNotFound: its store does not have it. Raised
            before anything is sent.
        InvalidOption: there is no history for ``derived_from``, ``note`` or ``labels``: no catalog, and a store that is
            a program or ``shared_catalog`` off. Raised before anything is sent.
    Cost: about one request for each object that the store lacks, more for large ones, and a few for the record; none
        for it if ``config.catalog`` has the snapshot as the latest there.
    Cancellation: stops within one part. The next push to the same store resumes large uploads.
    """
    config, counters = config or Config(), counters or Counters()
    refuse_keyed(config)
    stores = await parse_stores(store, objects_store)
    program = stores.program
    if program is not None:
        await anyio.to_thread.run_sync(program.require)
    given = TreeArguments(exclude, ignore, ignore_from, no_follow, dereference)
    options = PushOptions(await tree_options(given, config, stores), recheck)
    publication = await publication_of(
        config,
        counters,
        announce,
        derived_from=derived_from,
        unchecked=unchecked,
        note=note,
        labels=labels,
        stores=stores,
    )
    location = store_location(stores.required)
    if program is not None:
        if dry_run:
            return await _only_named(path, options, publication)
        from snapdir.transfer.external import push_external

        async with opened_cache(config) as cache:
            pushed = await _keep_tree(path, cache, options, config, counters)
            await push_external(SnapshotId(pushed), cache, program, limits=config.limits, verified=True)
        await publication.complete(pushed, "push", pushed, location)
        await remember(path, pushed, "push", options=options.tree, stores=stores, config=config)
        return pushed
    async with opened(stores, config, counters) as to:
        if dry_run:
            await require_answer(to)
            return await _rehearse_tree(path, to, options, publication)
        pushed = await _push_tree(path, to, options, config, counters)
        await publication.complete(pushed, "push", pushed, location, store=to.store)
    await remember(path, pushed, "push", options=options.tree, stores=stores, config=config)
    return pushed


async def _only_named(path: PathLike, options: PushOptions, publication: Publication[str]) -> str:
    """A dry run to a store program, which does not say what it has: all content counts as to be sent."""
    tree = options.tree._replace(tree_index=None)  # a dry run writes nothing
    manifest = await read_tree(path, tree, publication.config, publication.counters)
    await anyio.to_thread.run_sync(_count_all, manifest, publication.counters)
    identifier = await anyio.to_thread.run_sync(id_from_manifest, manifest)
    await anyio.to_thread.run_sync(publication.counters.count_snapshot, manifest)
    _warn_if_empty(path, publication.counters)
    await publication.tell(identifier)
    return identifier


def _count_all(manifest: Manifest, counters: Counters) -> None:
    from snapdir.transfer.engine.plan import plan_objects

    objects = plan_objects(manifest)
    counters.objects_to_send = len(objects)
    counters.bytes_to_send = sum(planned.size or 0 for planned in objects)


async def _rehearse_tree(path: PathLike, to: Repository, options: PushOptions, publication: Publication[str]) -> str:
    """A dry run: the id, and in the counters what would be sent."""
    config, counters = publication.config, publication.counters
    limits, known = config.limits, _known(to, config)
    identifier = await rehearse_push(
        local_path(path), to, options=options, limits=limits, counters=counters, known=known
    )
    _warn_if_empty(path, counters)
    await publication.tell(str(identifier))
    return str(identifier)


def _warn_if_empty(path: PathLike, counters: Counters) -> None:
    """Warn of a snapshot without files, which as ``latest`` would empty the mirrors of a store."""
    if not counters.snapshot_files:
        counters.warnings.append(f"{os.fspath(path)} has no files: the snapshot is empty")


def _known(to: Repository, config: Config) -> KnownSnapshots | None:
    from snapdir.repository.known import KnownSnapshots

    return KnownSnapshots(config.cache_dir, to.location) if to.objects.capabilities.remote else None


async def _push_tree(path: PathLike, to: Repository, options: PushOptions, config: Config, counters: Counters) -> str:
    identifier = await push_tree(
        local_path(path),
        to,
        options=options,
        limits=config.limits,
        counters=counters,
        known=_known(to, config),
        journal=journal_of(to, config),
    )
    _warn_if_empty(path, counters)
    return str(identifier)


async def _keep_tree(
    path: PathLike, cache: Repository, options: PushOptions, config: Config, counters: Counters
) -> str:
    """Push a tree into the cache, and replace damaged objects that the cache held already."""
    from snapdir.transfer.download.local_objects import find_unsound
    from snapdir.transfer.engine.plan import plan_objects

    options = options._replace(recheck=False)
    kept = await _push_tree(path, cache, options, config, counters)
    if not counters.objects_skipped:
        return kept  # every object was written, from bytes that were hashed
    objects = plan_objects(await _cached(SnapshotId(kept), cache))
    unsound = await find_unsound(objects, cache, limits=config.limits, counters=Counters())
    if unsound:
        async with set_aside([planned.digest for planned, _ in unsound], cache):
            kept = await _push_tree(path, cache, options, config, Counters())
        first = unsound[0].planned.path
        counters.warnings.append(
            f"{len(unsound)} damaged object(s) in the cache were replaced; the first is for {first}"
        )
    return kept


async def _cached(snapshot_id: SnapshotId, cache: Repository) -> Manifest:
    return (await held_manifest(snapshot_id, cache)).require(snapshot_id)


@checked
async def push_cached(
    snapshot_id: str,
    store: PathLike,
    *,
    objects_store: PathLike | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    derived_from: Sequence[str] | None = None,
    unchecked: bool = False,
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Copy a snapshot from the cache to a store, and return its id. It is recorded as by ``push``.

    Args:
        snapshot_id: 64 hexadecimal digits, or the first 8 or more.
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Read every object of the store, and send damaged ones again.
        dry_run: As in ``push``; an object that is neither in the cache nor in the store is an error.
        derived_from, unchecked, note, labels, announce: As in ``push``.

    Raises:
        ManifestNotFound: the snapshot is not in the cache.
        ObjectNotFound: an object is neither in the cache nor in the store.
        UnsafePath: the manifest has a path that a pull would refuse.
    """
    from snapdir.transfer.sync import StoreSync, SyncOptions

    config, counters = config or Config(), counters or Counters()
    stores = await parse_stores(store, objects_store)
    snapshot = await id_here(stores, snapshot_id, config, counters)
    program = stores.program
    publication = await publication_of(
        config,
        counters,
        announce,
        derived_from=derived_from,
        unchecked=unchecked,
        note=note,
        labels=labels,
        stores=stores,
    )
    pushed, location = str(snapshot), store_location(stores.required)
    options = SyncOptions(recheck=recheck, dry_run=dry_run)
    async with opened_cache(config) as cache:
        manifest = await _cached(snapshot, cache)
        await anyio.to_thread.run_sync(check_materialisable, manifest)
        await anyio.to_thread.run_sync(counters.count_snapshot, manifest)
        if dry_run:
            await _rehearse_push(snapshot, manifest, cache, stores, options=options, config=config, counters=counters)
            await publication.tell(pushed)
        elif program is not None:
            from snapdir.transfer.external import push_external

            await push_external(snapshot, cache, program, limits=config.limits)
            await publication.complete(pushed, "push", pushed, location)
        else:
            async with opened(stores, config, counters) as to:
                journal = journal_of(to, config)
                pair = StoreSync(cache, to, options=options, limits=config.limits, counters=counters, journal=journal)
                await pair.copy(snapshot)
                await publication.complete(pushed, "push", pushed, location, store=to.store)
    return pushed


async def _rehearse_push(
    snapshot: SnapshotId,
    manifest: Manifest,
    cache: Repository,
    stores: StorePair,
    *,
    options: SyncOptions,
    config: Config,
    counters: Counters,
) -> None:
    """Count what ``push_cached`` would send, and fail where it would fail. Nothing is written."""
    if stores.program is not None:
        await anyio.to_thread.run_sync(stores.program.require)
        await anyio.to_thread.run_sync(require_cached, snapshot, manifest, cache)
        await anyio.to_thread.run_sync(_count_all, manifest, counters)
        return
    from snapdir.transfer.sync import StoreSync

    async with opened(stores, config, counters) as to:
        await require_answer(to)
        report = await StoreSync(cache, to, options=options, limits=config.limits, counters=counters).copy(snapshot)
    counters.objects_to_send, counters.bytes_to_send = report.copied, report.copied_bytes
    counters.requests_to_send = report.requests_to_send
