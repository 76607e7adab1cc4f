"""From a snapshot into the cache or a directory: fetch, checkout, pull."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from snapdir.api.checkout_run import CheckoutRun, cached_manifest, fetch_into_cache
from snapdir.api.destination import guard_destination
from snapdir.api.resolve import id_here, selection_of
from snapdir.api.stores import (
    CACHE_HINT,
    NO_CACHE_HINT,
    PathLike,
    StorePair,
    cache_hint,
    exclude_patterns,
    opened_cache,
    parse_stores,
)
from snapdir.config import Config
from snapdir.errors import InvalidOption, InvalidStore
from snapdir.model.arguments import checked
from snapdir.model.patterns import protection
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.reports import PullReport
from snapdir.transfer.fetch import FetchOptions


@checked
async def fetch(
    snapshot_id: str,
    store: PathLike | None,
    *,
    objects_store: PathLike | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    shard: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> PullReport:
    """Download a snapshot into the cache.

    Only objects that the cache lacks are downloaded; each is verified. Cached objects are compared by length, and
    ``verify_cache`` hashes them. A damaged manifest in the cache is replaced.

    Args:
        store: The store to fetch from; None is enough if the cache is complete.
        objects_store: The pool that holds the objects, if ``store`` does not.
        include, exclude, shard: Fetch only the objects of these files; see ``pull``.
        dry_run: Check that the store has the snapshot and the objects that the cache lacks, and count them; write
            nothing.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, StoreError: the store lacks the snapshot, or fails.
    Cancellation: as for ``pull``.
    """
    config, counters = config or Config(), counters or Counters()
    options = FetchOptions(config.stores, selection_of(include, exclude, shard), dry_run)
    stores = await parse_stores(store, objects_store)
    identifier, manifest = await fetch_into_cache(snapshot_id, stores, options, config, counters)
    await anyio.to_thread.run_sync(lambda: counters.count_snapshot(options.selection.of(manifest)))
    return PullReport.of(identifier, counters)


@checked
async def checkout(
    snapshot_id: str,
    dest: PathLike,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    shard: str | None = None,
    delete: bool = False,
    protect: Sequence[str] | None = None,
    linked: bool = False,
    store: PathLike | None = None,
    objects_store: PathLike | None = None,
    overwrite: bool = True,
    strict: bool = False,
    keep: bool = False,
    preserve_special_modes: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> PullReport:
    """Write a snapshot of the cache into a directory. No store is needed.

    Args:
        include, exclude, shard: Only these files, as for ``pull``; the cache needs no others.
        delete, protect, linked, overwrite, strict, keep, preserve_special_modes, dry_run: As for ``pull``.
        store, objects_store: Not opened. ``delete`` refuses a destination in these stores, and a store inside the
            destination is not reported as left over.

    Raises:
        ManifestNotFound, ObjectNotFound: the cache lacks the snapshot, or some of its objects.
        CorruptObject, CorruptManifest, InvalidManifest: the cache is damaged; ``pull`` from a store repairs it.
    """
    config, counters = config or Config(), counters or Counters()
    try:
        stores = await parse_stores(store, objects_store)
    except InvalidStore:
        if delete or linked:
            raise
        stores = StorePair()  # it would not be opened
    options = CheckoutOptions(
        selection=selection_of(include, exclude, shard),
        linked=linked,
        delete=delete,
        protected=protection(exclude_patterns(protect)) if delete else None,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
    )
    run = CheckoutRun.prepared(dest, options, config, counters, stores)
    await guard_destination(run.dest, run.options, config, stores)
    identifier = await id_here(stores, snapshot_id, config, counters)
    async with opened_cache(config) as cache:
        manifest = await cached_manifest(identifier, cache, options.selection)
        if dry_run:
            await run.rehearse(manifest, cache)
        else:
            await run.write(manifest, cache)
    return await run.finish(identifier, StorePair(), dry_run=dry_run, strict=strict)


@checked
async def pull(
    snapshot_id: str,
    store: PathLike | None,
    dest: PathLike,
    *,
    objects_store: PathLike | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    shard: str | None = None,
    delete: bool = False,
    protect: Sequence[str] | None = None,
    linked: bool = False,
    cache: bool | None = None,
    use_cache: bool | None = None,
    overwrite: bool = True,
    strict: bool = False,
    keep: bool = False,
    preserve_special_modes: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> PullReport:
    """Download a snapshot and write it into a directory.

    Bytes go straight to the directory. Objects that the cache holds are copied from there instead of downloaded. A
    file appears complete and verified, or not at all. Files that differ are replaced. Paths that are not in the
    snapshot stay, and a warning names them.

    Args:
        snapshot_id: 64 hexadecimal digits, or the first 8 or more.
        store: The store to pull from. None is enough if the cache is complete.
        objects_store: The pool that holds the objects, if ``store`` does not.
        include, exclude: Globs as in a ``.gitignore``: only files that match ``include`` and not ``exclude``.
        shard: ``"I/N"``: only part I of N of the selected files, about equal in bytes and the same on every machine.
        delete: Remove every path that is not in the snapshot, links without following them: those in the way of the
            snapshot before anything is written, the others at the end. Refused if ``dest`` is, or holds, a home, a
            cache or a store, or lies in a cache or store. ``counters.pruned`` lists the removed paths. Without
            ``delete`` a path in the way is a conflict, unless it is an empty directory, and ``counters.extra`` lists
            the others.
        protect: RE2 patterns, searched in paths such as ``./a/b`` or ``./a/`` (a directory): ``delete`` spares matching
            paths and the directories above them.
        linked: Create absolute links to the objects of the cache, which are hashed first and made read-only. What the
            cache lacks is downloaded into it.
        cache: True also downloads into the cache, and replaces damaged objects there. False adds nothing to the cache.
            None adds copies of new objects where the filesystem makes them as reflinks, which take no space.
        use_cache: The earlier name of ``cache``.
        overwrite: Replace files that differ; if false, they are a conflict.
        strict: Fail at the end if paths remain in ``dest`` that are not in the snapshot.
        keep, preserve_special_modes: Keep temporary files after a failure; restore special mode bits.
        dry_run: Write nothing: ``counters.replaced``, ``pruned`` and ``extra`` list the paths that would be replaced,
            removed and left over, and the report counts what would be written and fetched. Every file of the snapshot
            that is in ``dest`` is hashed.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, StoreError: the store lacks the snapshot, or fails.
        DestinationConflict: ``dest`` is a file or holds paths that must not be replaced, and nothing was written; or
            ``strict`` failed. ``paths`` lists them.
        UnsafePath, LocalError: a path of the manifest could leave ``dest``, or ``dest`` cannot be written.
    Cost: one request for each missing object up to 16 MiB, and one for each part of a larger one.
    Cancellation: stops within one block; the next pull resumes large objects.
    """
    config, counters = config or Config(), counters or Counters()
    stores = await parse_stores(store, objects_store)
    options = CheckoutOptions(
        selection=selection_of(include, exclude, shard),
        linked=linked,
        delete=delete,
        protected=protection(exclude_patterns(protect)) if delete else None,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
    )
    run = CheckoutRun.prepared(dest, options, config, counters, stores)
    keeps = use_cache if cache is None else cache
    if linked and keeps is False:
        raise InvalidOption("--linked cannot be used with --no-cache: it makes links to objects of the cache")
    await guard_destination(run.dest, run.options, config, stores)
    if linked or keeps:
        with cache_hint(config, CACHE_HINT if linked else NO_CACHE_HINT):
            identifier = await run.through_cache(snapshot_id, dry_run=dry_run)
    else:
        identifier = await run.straight(snapshot_id, keep=keeps is None, dry_run=dry_run)
    return await run.finish(identifier, stores, dry_run=dry_run, strict=strict)
