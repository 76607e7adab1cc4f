"""From a snapshot to a directory: fetch, checkout, pull."""

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

from snapdir.api.destination import own_directories, refuse_reach, report_leftovers
from snapdir.api.external import external_store, fetch_outside, staged_outside
from snapdir.api.resolve import full_id, resolve_id
from snapdir.api.stores import (
    CACHE_HINT,
    NO_CACHE_HINT,
    PathLike,
    cache_hint,
    cached_whole,
    exclude_patterns,
    local_path,
    opened,
    opened_cache,
    opened_or_none,
    pool_hint,
    require_usable_cache,
    required,
    selection_of,
)
from snapdir.config import Config
from snapdir.errors import SnapdirError, local_error
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.model.patterns import protection
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreURL
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.transfer.checkout import CheckoutOptions
    from snapdir.transfer.download.local_objects import Mend
    from snapdir.transfer.engine.plan import PlannedObject
    from snapdir.transfer.engine.selection import Selection

__all__ = ["checkout", "fetch", "pull"]


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
) -> None:
    """Bring a snapshot into the cache; objects the cache lost are brought again, and a damaged manifest.

    What the cache holds is known by its length; ``verify_cache`` hashes it.

    Args:
        store: Where from; None is enough when the cache is complete.
        objects_store: The pool that holds the objects, where it is not ``store`` itself.
        include, exclude, shard: Fetch only the objects of these files, as ``pull`` does.
        dry_run: Only look whether the snapshot exists, and the objects that the cache lacks; write nothing.
    """
    selection = selection_of(include, exclude, shard)
    config, counters = config or Config(), counters or Counters()
    await _fetch(snapshot_id, store, objects_store, selection, config=config, counters=counters, dry_run=dry_run)


async def _fetch(
    snapshot_id: str,
    store: str | None,
    objects_store: str | None,
    selection: Selection,
    *,
    config: Config,
    counters: Counters,
    dry_run: bool,
) -> Manifest:
    from snapdir.transfer.fetch import FetchOptions
    from snapdir.transfer.fetch import fetch as fetch_snapshot

    if dry_run:
        await require_usable_cache(config)
    program = external_store(store, objects_store)
    if program is not None:
        identifier = await full_id(snapshot_id, config)
        return await fetch_outside(identifier, program, selection, dry_run=dry_run, config=config, counters=counters)
    async with opened_cache(config) as cache, opened_or_none(store, config, objects_store) as source:
        with pool_hint(objects_store):
            report = await fetch_snapshot(
                await full_id(snapshot_id, config, source),
                source,
                cache,
                options=FetchOptions(config.stores, selection, dry_run),
                limits=config.limits,
                counters=counters,
            )
            return report.manifest


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
) -> None:
    """Make a directory hold a cached snapshot's files. Works offline. See ``transfer.checkout`` for every promise.

    Args:
        include, exclude, shard: Only these files, as ``pull`` does; the cache need not hold the others.
        delete, protect, linked, overwrite, strict, dry_run: As for ``pull``.
        store, objects_store: Not opened. ``delete`` refuses a destination in one of them, and one inside the
            destination is not reported as left over.

    Raises:
        CorruptObject, CorruptManifest, InvalidManifest: the cache is damaged; ``pull`` from a store mends it.
    """
    config = config or Config()
    selection = selection_of(include, exclude, shard)
    options = _options(
        config,
        selection,
        delete=delete,
        protect=protect,
        linked=linked,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
        stores=(store, objects_store),
    )
    await refuse_reach(dest, options, selection, config, store=store, objects_store=objects_store)
    identifier = await full_id(snapshot_id, config)
    order = _Order(identifier, Path(local_path(dest)), selection, options, config, counters or Counters())
    if dry_run:
        await _rehearse_cached(order)
    else:
        await _check_out_cached(order)
        await _note(order)
    report_leftovers(order.dest, order.counters, whole=not selection.is_partial, strict=strict)


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
) -> None:
    """Make a directory hold a snapshot's files.

    Args:
        objects_store: The pool that holds the objects, where it is not ``store`` itself.
        include: Globs as in a ``.gitignore``; only what one of them covers is brought. None is everything.
        exclude: Globs of what is left out of that.
        shard: ``"I/N"``: only the I-th of N parts of those files, which are about equal in bytes and the same for all.
        delete: Remove everything that is not in the snapshot, links without following them: what is in its way (a
            directory in a file's place, or anything else in a directory's) before something is written, and the rest
            at the end. Refused where ``dest`` is, or holds, a home, a cache or a store, or lies in one of the latter.
            ``counters.pruned`` lists what was removed. Without it what is in the way is a conflict, except an empty
            directory, and ``counters.extra`` lists the rest.
        protect: RE2 patterns, searched in paths such as ``./a/b`` or ``./a/`` (a directory): ``delete`` leaves alone
            what fits, and the directories above it.
        linked: Make absolute links to the objects of the cache instead of files. Every object is hashed first, and
            becomes read-only.
        overwrite: Replace files that differ; otherwise they are a conflict.
        strict: Fail, when everything else is done, if paths that are not in the snapshot are left in ``dest``.
        dry_run: Write nothing: ``counters.replaced``, ``pruned`` and ``extra`` list what would be replaced, removed
            and left over. Every file of the snapshot that is in ``dest`` is hashed.
        use_cache: ``fetch`` and ``checkout``: the cache is filled too, and a complete one needs no store. Its
            damaged objects are fetched again. Otherwise the bytes go straight to ``dest``, and the cache only gets the
            note that ``status`` reads.

    Raises:
        DestinationConflict: ``dest`` is a file or holds what must not be replaced, and nothing was written; or
            ``strict``. ``paths`` lists what it is about.
    """
    config = config or Config()
    counters = counters or Counters()
    selection = selection_of(include, exclude, shard)
    options = _options(
        config,
        selection,
        delete=delete,
        protect=protect,
        linked=linked,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
        stores=(store, objects_store),
    )
    await refuse_reach(dest, options, selection, config, store=store, objects_store=objects_store, use_cache=use_cache)
    url = store if use_cache else required(store)
    identifier = SnapshotId(await resolve_id(snapshot_id, url, config=config))
    order = _Order(identifier, Path(local_path(dest)), selection, options, config, counters, store, objects_store)
    if use_cache:
        with cache_hint(config, NO_CACHE_HINT):
            manifest = await _fetch(
                identifier, store, objects_store, selection, config=config, counters=counters, dry_run=dry_run
            )
            await (_rehearse(manifest, order) if dry_run else _check_out_cached(order))
    else:
        async with _source(order, dry_run=dry_run) as (manifest, source):
            with pool_hint(objects_store):
                await (_rehearse(manifest, order, source) if dry_run else _check_out(manifest, source, order))
    if not dry_run:
        await _note(order)
    report_leftovers(order.dest, order.counters, whole=not selection.is_partial, strict=strict)


@dataclass(frozen=True, slots=True)
class _Order:
    """One checkout: which part of which snapshot goes where, and how."""

    identifier: SnapshotId
    dest: Path
    selection: Selection
    options: CheckoutOptions
    config: Config
    counters: Counters
    store: str | None = None
    objects_store: str | None = None


@asynccontextmanager
async def _source(order: _Order, *, dry_run: bool) -> AsyncIterator[tuple[Manifest, Repository]]:
    """The manifest, and where its objects are; in a dry run of a store that is a program they are nowhere."""
    program = external_store(order.store, order.objects_store)
    if program is not None:
        selection = None if dry_run else order.selection
        async with staged_outside(order.identifier, program, selection, order.config) as staged:
            yield staged
    else:
        async with opened(required(order.store), order.config, order.objects_store) as source:
            yield await source.read_manifest(order.identifier), source


async def _check_out_cached(order: _Order) -> None:
    async with opened_cache(order.config) as cache:
        manifest = await cached_whole(order.identifier, cache, order.selection)
        await _check_out(manifest, cache, order, mend=None if order.store is None else partial(_mend, order, cache))


async def _mend(order: _Order, cache: Repository, unsound: Sequence[PlannedObject]) -> None:
    """Fetch objects again that the cache does not hold right. Until they have come it keeps what it holds."""
    from snapdir.repository.cache import set_aside

    counters = Counters()
    try:
        async with set_aside([planned.digest for planned in unsound], cache):
            await _fetch(
                order.identifier,
                order.store,
                order.objects_store,
                order.selection,
                config=order.config,
                counters=counters,
                dry_run=False,
            )
    except SnapdirError as error:
        error.add_note(f"the cache at {cache.url} cannot give {len(unsound)} object(s), {unsound[0].path} the first")
        raise
    order.counters.already_complete = False
    order.counters.objects_received += counters.objects_received
    order.counters.bytes_received += counters.bytes_received
    order.counters.warnings += counters.warnings
    order.counters.warnings.append(
        f"{len(unsound)} damaged object(s) of the cache have been fetched again; the first is for {unsound[0].path}"
    )


async def _check_out(manifest: Manifest, source: Repository, order: _Order, *, mend: Mend | None = None) -> None:
    from snapdir.transfer.checkout import checkout as check_out

    await check_out(
        manifest,
        source,
        order.dest,
        options=order.options,
        limits=order.config.limits,
        counters=order.counters,
        mend=mend,
    )


async def _rehearse_cached(order: _Order) -> None:
    async with opened_cache(order.config) as cache:
        await _rehearse(await cached_whole(order.identifier, cache, order.selection), order)


async def _rehearse(manifest: Manifest, order: _Order, source: Repository | None = None) -> None:
    """List what a checkout would do; fail where it would, and where ``source`` lacks an object that it would read."""
    from snapdir.transfer.checkout import rehearse_checkout
    from snapdir.transfer.engine.absence import require_present

    async with opened_cache(order.config) as cache:
        run = partial(rehearse_checkout, options=order.options, counters=order.counters)
        wanted = await anyio.to_thread.run_sync(run, manifest, cache, order.dest)
    if source is not None and external_store(order.store) is None:
        await require_present(wanted, source, limits=order.config.limits)


async def _note(order: _Order) -> None:
    """Remember for ``status`` what the destination holds. If that cannot be written, it is still a success."""
    try:
        await anyio.to_thread.run_sync(_write_record, order)
    except OSError as error:
        reason = local_error(error, order.config.cache_dir)
        order.counters.warnings.append(
            f"`snapdir status` will not know what is in {order.dest}: {reason}; {CACHE_HINT}"
        )


def _write_record(order: _Order) -> None:
    from snapdir.disk.checkout_record import CheckoutRecord, write_record

    record = CheckoutRecord(
        directory=os.path.realpath(order.dest),
        snapshot_id=str(order.identifier),
        store=order.store and StoreURL.parse(order.store).without_credentials,
        objects_store=order.objects_store and StoreURL.parse(order.objects_store).without_credentials,
        include=order.selection.include,
        exclude=order.selection.exclude,
        shard=str(order.selection.shard) if order.selection.shard else None,
        checked_out_at=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    )
    write_record(order.config.cache_dir, record, fsync=order.config.stores.fsync)


def _options(
    config: Config,
    selection: Selection,
    *,
    delete: bool,
    protect: Sequence[str] | None,
    linked: bool,
    overwrite: bool,
    keep: bool,
    preserve_special_modes: bool,
    stores: tuple[str | None, ...],
) -> CheckoutOptions:
    from snapdir.transfer.checkout import CheckoutOptions

    return CheckoutOptions(
        selection=selection,
        delete=delete,
        protected=protection(exclude_patterns(protect)) if delete else None,
        own_directories=own_directories(config, *stores),
        linked=linked,
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
        fsync=config.stores.fsync,
        clone=config.stores.clone,
    )
