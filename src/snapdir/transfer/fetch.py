"""Download a snapshot into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import SnapdirError, ungrouped
from snapdir.errors.base import NO_STORE
from snapdir.model.digest import EMPTY_DIGEST, Digest
from snapdir.model.manifest import Manifest
from snapdir.repository.cache import cache_root, held_manifest, keep_manifest
from snapdir.repository.repository import Repository
from snapdir.stores.batches import flushing
from snapdir.stores.file.writing import FileWriter
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.download.held_objects import split_held
from snapdir.transfer.download.object_sink import CacheSink
from snapdir.transfer.download.objects import download
from snapdir.transfer.engine.absence import require_present
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.engine.requests import reading_requests
from snapdir.transfer.engine.selection import EVERYTHING, Selection


class FetchOptions(NamedTuple):
    """Options of a fetch.

    Attributes:
        settings: How the cache writes.
        selection: Fetch only the objects of these files; the cache then holds the snapshot as incomplete.
        dry_run: Read the manifest, make sure that the source has the missing objects, and write nothing.
    """

    settings: StoreSettings
    selection: Selection = EVERYTHING
    dry_run: bool = False


async def fetch(
    snapshot_id: Digest,
    source: Repository | None,
    cache: Repository,
    *,
    options: FetchOptions,
    limits: Limits,
    counters: Counters,
) -> Manifest:
    """Make the cache hold a complete snapshot, and return its manifest.

    Objects that the cache has are not fetched; those it lost are. A complete cache needs no store. Cached objects
    are checked by length only: their readers hash them. A damaged manifest is fetched again.

    Args:
        source: Where to fetch from; None is enough for a complete cache.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, StoreError: the source lacks the snapshot, or fails; the cache
            keeps the objects that have arrived, and gets no manifest.
        CorruptManifest, InvalidManifest: the cache's manifest is damaged, and no source is given.
    """
    selection = options.selection
    held = await held_manifest(snapshot_id, cache, incomplete=selection.is_partial)
    manifest = held.manifest
    if manifest is not None:
        missing = await _missing(manifest, selection, cache, counters)
        if not missing:
            counters.already_complete = True
            if not options.dry_run:
                await cache.flush()
            return manifest
    if source is None:
        raise held.damage or SnapdirError(NO_STORE)
    if manifest is None:
        manifest = await source.read_manifest(snapshot_id)
        missing = await _missing(manifest, selection, cache, counters)
    if options.dry_run:
        await require_present(missing, source, limits=limits)
        count_planned(missing, source, limits=limits, counters=counters, manifests=held.manifest is None)
        return manifest
    with ungrouped(f"fetch {snapshot_id}"):
        await fetch_objects(missing, source, cache, settings=options.settings, limits=limits, counters=counters)
    complete = not selection.is_partial or held.is_complete
    await keep_manifest(manifest, snapshot_id, cache, complete=complete, replace=held.damage is not None)
    if held.damage is not None:
        counters.warnings.append(f"the manifest of {snapshot_id} in the cache was damaged and was fetched again")
    return manifest


def count_planned(
    objects: Sequence[PlannedObject],
    source: Repository | None,
    *,
    limits: Limits,
    counters: Counters,
    manifests: int = 0,
) -> None:
    """Count what a dry run would fetch, and about how many requests that takes.

    Args:
        source: None for a store program, whose requests are its own.
        manifests: Manifests to read too.
    """
    # (The empty object is not fetched.)
    counters.objects_to_fetch += sum(planned.digest != EMPTY_DIGEST for planned in objects)
    counters.bytes_to_fetch += sum(planned.size or 0 for planned in objects)
    if source is not None and source.objects.capabilities.remote:
        counters.requests_to_send += manifests + reading_requests(objects, source.objects.capabilities, limits)


async def fetch_objects(
    objects: Sequence[PlannedObject],
    source: Repository,
    cache: Repository,
    *,
    settings: StoreSettings,
    limits: Limits,
    counters: Counters,
) -> None:
    """Write objects of ``source`` into the cache, verified. Errors as for ``download``."""
    root = str(cache_root(cache))
    sink = CacheSink(root, FileWriter(root, settings))
    counters.begin_objects("transfer", objects)
    try:
        async with flushing(sink.batch):
            await download(source, objects, sink, limits=limits, counters=counters)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(sink.close)
    counters.warnings += sink.refused_modes.warnings()


async def _missing(
    manifest: Manifest, selection: Selection, cache: Repository, counters: Counters
) -> Sequence[PlannedObject]:
    selected = await anyio.to_thread.run_sync(selection.counted, manifest, counters)
    objects = await anyio.to_thread.run_sync(plan_objects, selected)
    split = await anyio.to_thread.run_sync(split_held, objects, cache)
    counters.objects_skipped = len(split.held)
    return split.others


def missing_objects(manifest: Manifest, cache: Repository) -> Sequence[PlannedObject]:
    """Objects of a manifest that the cache lacks, or holds at another length. Blocking; 5 µs per object."""
    return split_held(plan_objects(manifest), cache).others
