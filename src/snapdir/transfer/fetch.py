"""Bring a snapshot into the cache."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import anyio
import anyio.to_thread

from snapdir.errors import (
    IncompleteCache,
    SnapdirError,
    ungrouped,
)
from snapdir.model.digest import Digest
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.batches import published
from snapdir.stores.file.writing import FileWriter
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.download.cached import held_manifest, keep_manifest
from snapdir.transfer.download.object_sink import CacheSink
from snapdir.transfer.download.objects import download
from snapdir.transfer.engine.absence import require_present
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject, plan_objects
from snapdir.transfer.engine.selection import EVERYTHING, Selection

__all__ = ["NO_STORE", "cache_root", "fetch", "missing_objects", "require_cached"]

NO_STORE = "no store configured: pass --store <uri> or set the SNAPDIR_STORE environment variable"


async def fetch(
    snapshot_id: Digest,
    source: Repository | None,
    cache: Repository,
    *,
    limits: Limits,
    counters: Counters,
    settings: StoreSettings,
    selection: Selection = EVERYTHING,
    dry_run: bool = False,
) -> Manifest:
    """Make the cache hold a complete snapshot, and return its manifest.

    Objects that the cache has are not fetched; those it lost are. A complete cache needs no store. Cached objects
    are checked by length only: their readers hash them. A damaged manifest is fetched again.

    Args:
        source: Where to fetch from; None is enough for a complete cache.
        settings: How the cache writes.
        selection: Fetch only the objects of these files; the cache then holds the snapshot as incomplete.
        dry_run: Read the manifest, make sure that the source has the missing objects, and write nothing.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, StoreError: the source cannot give it; the cache then holds
            what has come so far, and no manifest.
        CorruptManifest, InvalidManifest: the cache's manifest is damaged, and there is no source.
    """
    held = await held_manifest(snapshot_id, cache, incomplete=selection.is_partial)
    manifest = held.manifest
    if manifest is not None:
        missing = await _missing(manifest, selection, cache, counters)
        if not missing:
            counters.already_complete = True
            await cache.flush()
            return manifest
    if source is None:
        raise held.damage or SnapdirError(NO_STORE)
    if manifest is None:
        manifest = await source.read_manifest(snapshot_id)
        missing = await _missing(manifest, selection, cache, counters)
    if dry_run:
        await require_present(missing, source, limits=limits)
        return manifest
    counters.begin("transfer", files=len(missing), bytes_=sum(one.size or 0 for one in missing))
    sink = _cache_sink(cache, settings)
    with ungrouped(f"fetch {snapshot_id}"):
        try:
            async with published(sink.batch):
                await download(source, missing, sink, limits=limits, counters=counters)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(sink.close)
    counters.warnings += sink.refused_modes.warnings()
    complete = not selection.is_partial or held.is_complete
    await keep_manifest(manifest, snapshot_id, cache, complete=complete, replace=held.damage is not None)
    if held.damage is not None:
        counters.warnings.append(f"the manifest of {snapshot_id} in the cache was damaged and has been fetched again")
    return manifest


async def _missing(
    manifest: Manifest, selection: Selection, cache: Repository, counters: Counters
) -> list[PlannedObject]:
    selected = await anyio.to_thread.run_sync(selection.counted, manifest, counters)
    return await anyio.to_thread.run_sync(missing_objects, selected, cache)


def missing_objects(manifest: Manifest, cache: Repository) -> list[PlannedObject]:
    """Objects of a manifest that the cache lacks, or holds at another length. Blocking; 10 µs an object."""
    return [one for one in plan_objects(manifest) if not _is_cached(one, cache.local_object(one.digest))]


def require_cached(snapshot_id: Digest, manifest: Manifest, cache: Repository) -> None:
    """Make sure before anything is written that a checkout will find every object. Blocking.

    Raises:
        ObjectNotFound: some are absent; the message names the first by its path.
    """
    missing = [one for one in plan_objects(manifest) if not _exists(cache.local_object(one.digest))]
    if missing:
        raise IncompleteCache(snapshot_id, missing[0].digest, missing[0].path, len(missing))


def _is_cached(one: PlannedObject, path: Path | None) -> bool:
    try:
        status = os.stat(path) if path is not None else None
    except OSError:
        return False
    return status is not None and stat.S_ISREG(status.st_mode) and one.size in (None, status.st_size)


def _exists(path: Path | None) -> bool:
    return path is not None and path.is_file()


def cache_root(cache: Repository) -> Path:
    """
    Raises:
        SnapdirError: it is no directory of this host.
    """
    root = cache.objects.local_path("")
    if root is None:
        raise SnapdirError(f"the cache must be a directory of this host, not {cache.url}")
    return root


def _cache_sink(cache: Repository, settings: StoreSettings) -> CacheSink:
    root = str(cache_root(cache))
    return CacheSink(root, FileWriter(root, settings))
