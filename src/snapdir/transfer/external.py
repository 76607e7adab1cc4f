"""Whole snapshots to and from a store program. Every byte from the program is hashed before it is used."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio.to_thread

from snapdir.disk.run_folder import RunFolder
from snapdir.errors import ObjectNotFound, local_errors
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import PARTIAL
from snapdir.model.manifest import Manifest, ManifestReader
from snapdir.repository.cache import cache_root, held_manifest, require_cached
from snapdir.repository.repository import Repository, verified_manifest
from snapdir.stores.external import ExternalStore
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.download.held_objects import split_held
from snapdir.transfer.download.local_objects import find_unsound, require_sound
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.engine.selection import Selection
from snapdir.transfer.fetch import FetchOptions, count_planned, fetch, missing_objects
from snapdir.transfer.pull import PullOptions, missing_for_pull


async def push_external(
    snapshot_id: Digest, cache: Repository, store: ExternalStore, *, limits: Limits, verified: bool = False
) -> None:
    """Push a complete snapshot of the cache with the program.

    Args:
        verified: The objects have hashed right already. (A program need not check the objects that it pushes.)

    Raises:
        CorruptObject, CorruptManifest: the cache is damaged.
        ManifestNotFound, IncompleteCache: the cache does not hold it.
        StoreProgramFailed: the program cannot be run, or failed.
    """
    manifest = (await held_manifest(snapshot_id, cache)).require(snapshot_id)
    await anyio.to_thread.run_sync(require_cached, snapshot_id, manifest, cache)
    if not verified:
        await require_sound(plan_objects(manifest), cache, None, limits=limits, counters=Counters())
    await store.push(snapshot_id, cache_root(cache))


async def fetch_external(
    snapshot_id: Digest,
    store: ExternalStore,
    cache: Repository,
    *,
    options: FetchOptions,
    limits: Limits,
    counters: Counters,
) -> Manifest:
    """``fetch`` from a program, which fills a separate directory; objects that hash right are moved to the cache.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, CorruptManifest: as for any store.
        StoreProgramFailed: the program cannot be run, or failed.
    """
    selection = options.selection
    held = (await held_manifest(snapshot_id, cache, incomplete=selection.is_partial)).manifest
    manifest = await read_manifest(snapshot_id, store) if held is None else held
    missing = await anyio.to_thread.run_sync(lambda: missing_objects(selection.of(manifest), cache))
    into_cache = partial(fetch, snapshot_id, cache=cache, options=options, limits=limits, counters=counters)
    if held is not None and not missing:
        return await into_cache(source=None)
    if options.dry_run:
        count_planned(missing, None, limits=limits, counters=counters)
        return manifest
    async with staged(snapshot_id, manifest, missing, store, cache_root(cache)) as source:
        return await into_cache(source=source)


async def read_manifest(snapshot_id: Digest, store: ExternalStore) -> Manifest:
    """The manifest of a snapshot, checked against its id.

    Raises:
        ManifestNotFound: the program has no such snapshot.
        InvalidManifest, CorruptManifest: its text is not this manifest.
    """
    text = await store.read_manifest(snapshot_id)
    where = f"the manifest that {store.program} gave"
    return await anyio.to_thread.run_sync(verified_manifest, ManifestReader(text), snapshot_id, where)


async def rehearse_external(
    snapshot_id: Digest,
    store: ExternalStore,
    cache: Repository,
    into: Path,
    *,
    options: PullOptions,
    limits: Limits,
    counters: Counters,
) -> None:
    """``rehearse_pull`` from a program, which is asked for the manifest only."""
    held = (await held_manifest(snapshot_id, cache, incomplete=True)).manifest
    manifest = await read_manifest(snapshot_id, store) if held is None else held
    missing = await missing_for_pull(manifest, cache, into, options=options, limits=limits, counters=counters)
    count_planned(missing, None, limits=limits, counters=counters)


@asynccontextmanager
async def staged_for_pull(
    snapshot_id: SnapshotId, store: ExternalStore, cache: Repository, selection: Selection, *, limits: Limits
) -> AsyncIterator[Repository | None]:
    """What the cache lacks of a snapshot, in a temporary directory that is removed after the block.

    Objects that are damaged in the cache are there too; the cache is unchanged. None if the cache lacks nothing.
    """
    held = (await held_manifest(snapshot_id, cache, incomplete=True)).manifest
    manifest = await read_manifest(snapshot_id, store) if held is None else held
    objects = await anyio.to_thread.run_sync(lambda: plan_objects(selection.of(manifest)))
    split = await anyio.to_thread.run_sync(split_held, objects, cache)
    unsound = await find_unsound(split.held, cache, limits=limits, counters=Counters())
    missing = [*split.others, *(planned for planned, _ in unsound)]
    if held is not None and not missing:
        yield None
        return
    async with staged(snapshot_id, manifest, missing, store, cache_root(cache)) as source:
        yield source


@asynccontextmanager
async def staged_snapshot(
    snapshot_id: SnapshotId, store: ExternalStore, selection: Selection, cache_dir: Path
) -> AsyncIterator[tuple[Manifest, Repository]]:
    """A part of a snapshot from the program, in a temporary directory that is removed after the block. The cache is
    unchanged.
    """
    manifest = await read_manifest(snapshot_id, store)
    objects = await anyio.to_thread.run_sync(lambda: plan_objects(selection.of(manifest)))
    async with staged(snapshot_id, manifest, objects, store, cache_dir) as source:
        yield manifest, source


@asynccontextmanager
async def staged(
    snapshot_id: Digest, manifest: Manifest, objects: Sequence[PlannedObject], store: ExternalStore, cache_dir: Path
) -> AsyncIterator[Repository]:
    """Objects from the program, as a temporary repository that is removed after the block.

    Args:
        objects: The objects to fetch: the manifest for the program lists only their files.
    """
    own = RunFolder(cache_dir / PARTIAL)
    with local_errors(own.parent):
        folder = Path(await anyio.to_thread.run_sync(lambda: own.path))
    try:
        if objects:
            text = await anyio.to_thread.run_sync(_text_for, manifest, objects)
            await store.fetch_objects(snapshot_id, text, folder)
        source = Repository(FileStore(folder, StoreSettings(fsync=False)))
        await anyio.to_thread.run_sync(_require_files, source, objects, store)
        await source.write_manifest(manifest, SnapshotId(snapshot_id), replace=True)
        yield source
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
            await anyio.to_thread.run_sync(own.close)


def _text_for(manifest: Manifest, objects: Iterable[PlannedObject]) -> bytes:
    """The manifest's text with the files of ``objects`` only: the program must not send the others again."""
    digests = {str(planned.digest) for planned in objects}
    return Manifest.in_order(entry for entry in manifest if not entry.is_file or entry.checksum in digests).stored


def _require_files(source: Repository, objects: Iterable[PlannedObject], store: ExternalStore) -> None:
    """
    Raises:
        ObjectNotFound: the program did not provide an object as a regular file.
    """
    for planned in objects:
        path = source.local_object(planned.digest)
        status = None
        with suppress(OSError):
            status = os.stat(path, follow_symlinks=False) if path is not None else None
        if status is None or not stat.S_ISREG(status.st_mode):
            raise ObjectNotFound(f"{planned.digest} (for {planned.path}): {store.program} did not provide it")
