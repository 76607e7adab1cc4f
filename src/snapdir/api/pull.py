"""From a snapshot into the cache or a directory: fetch, checkout, pull."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.destination import guard_destination, own_directories, report_leftovers
from snapdir.api.resolve import full_id, selection_of
from snapdir.api.stores import (
    CACHE_HINT,
    NO_CACHE_HINT,
    PathLike,
    StorePair,
    cache_hint,
    exclude_patterns,
    local_path,
    opened,
    opened_cache,
    opened_or_none,
    parse_stores,
    pool_hint,
    require_answer,
)
from snapdir.config import Config
from snapdir.errors import InvalidStore, SnapdirError, local_error
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.model.patterns import protection
from snapdir.repository.cache import held_manifest, require_cached, set_aside
from snapdir.repository.repository import Repository
from snapdir.transfer.checkout import CheckoutOptions, rehearse_checkout
from snapdir.transfer.checkout import checkout as check_out
from snapdir.transfer.engine.absence import require_present
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.reports import PullReport
from snapdir.transfer.engine.selection import Selection
from snapdir.transfer.fetch import FetchOptions
from snapdir.transfer.fetch import fetch as fetch_snapshot

if TYPE_CHECKING:
    from snapdir.transfer.download.local_objects import Mend
    from snapdir.transfer.engine.plan import PlannedObject


async def fetch(
    snapshot_id: str,
    store: str | None,
    *,
    objects_store: str | None = None,
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
        dry_run: Check that the store has the snapshot and the objects that the cache lacks; write nothing.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject, StoreError: the store lacks the snapshot, or fails.
    Cancellation: as for ``pull``.
    """
    config, counters = config or Config(), counters or Counters()
    options = FetchOptions(config.stores, selection_of(include, exclude, shard), dry_run)
    stores = await parse_stores(store, objects_store)
    identifier, _ = await _fetch(snapshot_id, stores, options, config, counters)
    return _report(identifier, counters)


async def _fetch(
    snapshot_id: str, stores: StorePair, options: FetchOptions, config: Config, counters: Counters
) -> tuple[SnapshotId, Manifest]:
    async with opened_cache(config) as cache:
        if options.dry_run:
            await require_answer(cache)
        if stores.program is not None:
            from snapdir.transfer.external import fetch_external

            identifier = await full_id(snapshot_id, config)
            report = await fetch_external(
                identifier, stores.program, cache, options=options, limits=config.limits, counters=counters
            )
            return identifier, report.manifest
        async with opened_or_none(stores, config) as source:
            identifier = await full_id(snapshot_id, config, source)
            with pool_hint(stores):
                report = await fetch_snapshot(
                    identifier, source, cache, options=options, limits=config.limits, counters=counters
                )
            return identifier, report.manifest


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
    store: str | None = None,
    objects_store: str | None = None,
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
    options = _options(
        config,
        stores,
        selection_of(include, exclude, shard),
        protect,
        delete=delete,
        linked=linked,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
    )
    run = _Checkout(Path(local_path(dest)), options, config, counters, StorePair())
    await guard_destination(run.dest, options, config, stores)
    identifier = await full_id(snapshot_id, config)
    async with opened_cache(config) as cache:
        manifest = await _cached(identifier, cache, options.selection)
        if dry_run:
            await run.rehearse(manifest, cache)
        else:
            await run.write(manifest, cache)
    return await run.finish(identifier, dry_run=dry_run, strict=strict)


async def pull(
    snapshot_id: str,
    store: str | None,
    dest: PathLike,
    *,
    objects_store: str | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    shard: str | None = None,
    delete: bool = False,
    protect: Sequence[str] | None = None,
    linked: bool = False,
    use_cache: bool = False,
    overwrite: bool = True,
    strict: bool = False,
    keep: bool = False,
    preserve_special_modes: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> PullReport:
    """Download a snapshot and write it into a directory.

    A file appears complete and verified, or not at all. Files that differ are replaced. Paths that are not in the
    snapshot stay, and a warning names them.

    Args:
        snapshot_id: 64 hexadecimal digits, or the first 8 or more.
        store: The store to pull from. With ``use_cache``, None is enough if the cache is complete.
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
        linked: Create absolute links to the objects of the cache, which are hashed first and made read-only.
        overwrite: Replace files that differ; if false, they are a conflict.
        strict: Fail at the end if paths remain in ``dest`` that are not in the snapshot.
        keep, preserve_special_modes: Keep temporary files after a failure; restore special mode bits.
        dry_run: Write nothing: ``counters.replaced``, ``pruned`` and ``extra`` list the paths that would be replaced,
            removed and left over. Every file of the snapshot that is in ``dest`` is hashed.
        use_cache: Fill the cache too, and use its objects; damaged ones are downloaded again.

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
    options = _options(
        config,
        stores,
        selection_of(include, exclude, shard),
        protect,
        delete=delete,
        linked=linked,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
    )
    run = _Checkout(Path(local_path(dest)), options, config, counters, stores)
    await guard_destination(run.dest, options, config, stores, use_cache=use_cache)
    if use_cache:
        with cache_hint(config, NO_CACHE_HINT):
            identifier = await _pull_through_cache(snapshot_id, run, dry_run=dry_run)
    else:
        async with _source(snapshot_id, run, dry_run=dry_run) as (identifier, manifest, source):
            with pool_hint(stores):
                if dry_run:
                    async with opened_cache(config) as cache:
                        await run.rehearse(manifest, cache, source=None if stores.program else source)
                else:
                    await run.write(manifest, source)
    return await run.finish(identifier, dry_run=dry_run, strict=strict)


async def _pull_through_cache(snapshot_id: str, run: _Checkout, *, dry_run: bool) -> SnapshotId:
    options = FetchOptions(run.config.stores, run.options.selection, dry_run)
    identifier, manifest = await _fetch(snapshot_id, run.stores, options, run.config, run.counters)
    async with opened_cache(run.config) as cache:
        if dry_run:
            await run.rehearse(manifest, cache)
        else:
            manifest = await _cached(identifier, cache, run.options.selection)
            await run.write(manifest, cache, mend=partial(run.mend, identifier, cache) if run.stores.url else None)
    return identifier


@asynccontextmanager
async def _source(
    snapshot_id: str, run: _Checkout, *, dry_run: bool
) -> AsyncIterator[tuple[SnapshotId, Manifest, Repository]]:
    """The id, the manifest, and the repository of its objects; a dry run fetches no objects from a store program."""
    program = run.stores.program
    if program is not None:
        from snapdir.transfer.external import staged_snapshot

        identifier = await full_id(snapshot_id, run.config)
        selection = None if dry_run else run.options.selection
        async with staged_snapshot(identifier, program, selection, run.config.cache_dir) as (manifest, staged):
            yield identifier, manifest, staged
    else:
        async with opened(run.stores, run.config) as source:
            identifier = await full_id(snapshot_id, run.config, source)
            yield identifier, await source.read_manifest(identifier), source


async def _cached(identifier: SnapshotId, cache: Repository, selection: Selection) -> Manifest:
    """The cache's manifest of a snapshot, if the cache has every selected object too.

    Raises:
        ManifestNotFound, CorruptManifest, StoreError: the manifest is missing, damaged or unreadable.
        IncompleteCache: an object is missing.
    """
    held = await held_manifest(identifier, cache, incomplete=selection.is_partial)
    manifest = held.require(identifier)
    selected = await anyio.to_thread.run_sync(selection.of, manifest)
    await anyio.to_thread.run_sync(require_cached, identifier, selected, cache)
    return manifest


@dataclass(frozen=True, slots=True)
class _Checkout:
    """One checkout: its destination and options, and the stores that it may fetch from."""

    dest: Path
    options: CheckoutOptions
    config: Config
    counters: Counters
    stores: StorePair

    async def write(self, manifest: Manifest, source: Repository, *, mend: Mend | None = None) -> None:
        limits = self.config.limits
        await check_out(
            manifest, source, self.dest, options=self.options, limits=limits, counters=self.counters, mend=mend
        )

    async def rehearse(self, manifest: Manifest, cache: Repository, *, source: Repository | None = None) -> None:
        """List the effects of ``write``; fail if it would fail, or if ``source`` lacks a needed object."""
        run = partial(rehearse_checkout, options=self.options, counters=self.counters)
        needed = await anyio.to_thread.run_sync(run, manifest, cache, self.dest)
        if source is not None:
            await require_present(needed, source, limits=self.config.limits)

    async def mend(self, identifier: SnapshotId, cache: Repository, unsound: Sequence[PlannedObject]) -> None:
        """Fetch damaged objects of the cache again. The cache keeps the old ones until the new ones have come."""
        counters = Counters()
        options = FetchOptions(self.config.stores, self.options.selection)
        try:
            async with set_aside([planned.digest for planned in unsound], cache):
                await _fetch(identifier, self.stores, options, self.config, counters)
        except SnapdirError as error:
            first = unsound[0].path
            error.add_note(f"the cache at {cache.url} has {len(unsound)} damaged object(s); the first is for {first}")
            raise
        self.counters.already_complete = False
        self.counters.objects_received += counters.objects_received
        self.counters.bytes_received += counters.bytes_received
        self.counters.warnings += counters.warnings
        self.counters.warnings.append(
            f"{len(unsound)} damaged object(s) in the cache were fetched again; the first is for {unsound[0].path}"
        )

    async def finish(self, identifier: SnapshotId, *, dry_run: bool, strict: bool) -> PullReport:
        """Remember for ``status`` what the destination holds, and report. A record that fails is a warning."""
        if not dry_run:
            try:
                await anyio.to_thread.run_sync(self._write_record, identifier)
            except OSError as error:
                reason = local_error(error, self.config.cache_dir)
                self.counters.warnings.append(
                    f"this checkout is not recorded for `snapdir status {self.dest}`: {reason}; {CACHE_HINT}"
                )
        report_leftovers(self.dest, self.counters, whole=not self.options.selection.is_partial, strict=strict)
        return _report(identifier, self.counters)

    def _write_record(self, identifier: SnapshotId) -> None:
        from snapdir.disk.checkout_record import CheckoutRecord, write_record

        selection = self.options.selection
        store, pool = (None if url is None else url.without_credentials for url in self.stores)
        record = CheckoutRecord(
            directory=os.path.realpath(self.dest),
            snapshot_id=str(identifier),
            store=store,
            objects_store=pool,
            include=selection.include,
            exclude=selection.exclude,
            shard=str(selection.shard) if selection.shard else None,
            checked_out_at=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        )
        write_record(self.config.cache_dir, record, fsync=self.config.stores.fsync)


def _report(identifier: SnapshotId, counters: Counters) -> PullReport:
    return PullReport(
        identifier,
        counters.objects_received,
        counters.bytes_received,
        counters.files_replaced or len(counters.replaced),
        tuple(counters.pruned),
        tuple(counters.extra),
    )


def _options(
    config: Config, stores: StorePair, selection: Selection, protect: Sequence[str] | None, **given: bool
) -> CheckoutOptions:
    return CheckoutOptions(
        selection=selection,
        protected=protection(exclude_patterns(protect)) if given["delete"] else None,
        own_directories=own_directories(config, stores),
        fsync=config.stores.fsync,
        clone=config.stores.clone,
        **given,
    )
