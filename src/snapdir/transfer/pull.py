"""Write a snapshot into a directory straight from its store, with the objects that a cache holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import CorruptManifest, InvalidManifest, LocalError, SnapdirError, StoreError, ungrouped
from snapdir.errors.base import NO_STORE
from snapdir.model.digest import Digest
from snapdir.model.manifest import Manifest
from snapdir.repository.cache import HeldManifest, cache_root, held_manifest, keep_manifest, mend_manifest, set_aside
from snapdir.repository.repository import Repository
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.checkout import checkout, rehearse_checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.download.held_objects import HeldObjects, split_held
from snapdir.transfer.download.kept_copies import KeptCopies
from snapdir.transfer.engine.absence import require_present
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, PlannedObjects
from snapdir.transfer.engine.selection import Selection
from snapdir.transfer.fetch import count_planned, fetch_objects, missing_objects


class PullOptions(NamedTuple):
    """Options of a pull.

    Attributes:
        checkout: How the directory is written.
        keep: Keep copies of new objects in the cache, if they are reflinks of the files: they take no space.
        mend: Fetch objects again that are damaged in the cache.
        settings: How the cache writes.
    """

    checkout: CheckoutOptions
    keep: bool
    mend: bool
    settings: StoreSettings


async def pull(
    snapshot_id: Digest,
    source: Repository | None,
    cache: Repository,
    into: Path,
    *,
    options: PullOptions,
    limits: Limits,
    counters: Counters,
) -> None:
    """Make ``into`` hold a snapshot; every byte is written there once.

    Objects that the cache holds are copied from it, and the others come from ``source``. Damaged objects of the cache
    are fetched again, if the options say so.

    Args:
        source: None is enough if the cache holds everything.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, StoreError: the source lacks the snapshot, or fails.
        SnapdirError: there is no source, and the cache lacks something.
        UnsafePath, DestinationConflict, LocalError: as ``checkout``.
    Cancellation: as ``checkout``.
    """
    held = await held_manifest(snapshot_id, cache, incomplete=True)
    if source is None:
        manifest = await _all_held(held, cache, options.checkout.selection)
        await checkout(manifest, cache, into, options=options.checkout, limits=limits, counters=counters)
        return
    manifest = await source.read_manifest(snapshot_id) if held.manifest is None else held.manifest
    if isinstance(held.damage, (CorruptManifest, InvalidManifest)):
        counters.warnings.append(await mend_manifest(manifest, snapshot_id, cache, held))
    mend = partial(_mend, source=source, cache=cache, settings=options.settings, limits=limits, counters=counters)
    held_objects = HeldObjects(cache, mend if options.mend else None)
    write = partial(
        checkout, manifest, source, into, options=options.checkout, limits=limits, counters=counters, held=held_objects
    )
    if not options.keep:
        await write()
        return
    kept = KeptCopies(str(cache_root(cache)), options.settings)
    try:
        await write(kept=kept)
        if await anyio.to_thread.run_sync(kept.publish):
            await _keep_manifest(snapshot_id, manifest, cache)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(kept.close)


async def _mend(
    damaged: Sequence[PlannedObject],
    *,
    source: Repository,
    cache: Repository,
    settings: StoreSettings,
    limits: Limits,
    counters: Counters,
) -> bool:
    """Fetch damaged objects of the cache again. If that fails, the cache keeps the old ones, and the pull goes on."""
    fetched, objects = Counters(), PlannedObjects(damaged).in_store()
    try:
        with ungrouped(f"mend the cache at {cache.url}"):
            async with set_aside([planned.digest for planned in damaged], cache):
                await fetch_objects(objects, source, cache, settings=settings, limits=limits, counters=fetched)
    except SnapdirError:
        return False
    counters.objects_received += fetched.objects_received
    counters.bytes_received += fetched.bytes_received
    counters.warnings.append(
        f"{len(damaged)} damaged object(s) in the cache were fetched again; the first is for {damaged[0].path}"
    )
    return True


async def _all_held(held: HeldManifest, cache: Repository, selection: Selection) -> Manifest:
    """The manifest of the cache, if the cache holds every selected object too.

    Raises:
        SnapdirError: something is missing, and no store is given; or the manifest is damaged.
    """
    if held.manifest is None:
        raise held.damage or SnapdirError(NO_STORE)
    selected = await anyio.to_thread.run_sync(selection.of, held.manifest)
    if await anyio.to_thread.run_sync(missing_objects, selected, cache):
        raise SnapdirError(NO_STORE)
    return held.manifest


async def _keep_manifest(snapshot_id: Digest, manifest: Manifest, cache: Repository) -> None:
    """Record what the cache holds now. One that cannot be written stays as it is: the pull did not need it."""
    try:
        is_complete = not await anyio.to_thread.run_sync(missing_objects, manifest, cache)
        await keep_manifest(manifest, snapshot_id, cache, complete=is_complete)
    except (LocalError, StoreError):
        return


async def rehearse_pull(
    snapshot_id: Digest,
    source: Repository | None,
    cache: Repository,
    into: Path,
    *,
    options: PullOptions,
    limits: Limits,
    counters: Counters,
) -> None:
    """Count what ``pull`` would write and fetch, and fail if it would fail. Nothing is written."""
    held = await held_manifest(snapshot_id, cache, incomplete=True)
    if source is None:
        manifest = await _all_held(held, cache, options.checkout.selection)
    else:
        manifest = await source.read_manifest(snapshot_id) if held.manifest is None else held.manifest
    missing = await missing_for_pull(manifest, cache, into, options=options, limits=limits, counters=counters)
    if source is not None:
        await require_present(missing, source, limits=limits)
        count_planned(missing, source, limits=limits, counters=counters, manifests=held.manifest is None)


async def missing_for_pull(
    manifest: Manifest, cache: Repository, into: Path, *, options: PullOptions, limits: Limits, counters: Counters
) -> Sequence[PlannedObject]:
    """The objects that neither ``into`` nor the cache has; the rest is as ``rehearse_checkout``.

    Raises:
        UnsafePath, DestinationConflict, LocalError: as ``rehearse_checkout``.
    """
    rehearse = partial(
        rehearse_checkout, manifest, cache, into, options=options.checkout, limits=limits, counters=counters
    )
    needed = await anyio.to_thread.run_sync(rehearse)
    split = await anyio.to_thread.run_sync(split_held, needed, cache)
    counters.objects_skipped += len(split.held)
    return split.others
