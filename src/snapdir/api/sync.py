"""From store to store: sync, sync_all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from snapdir.api.resolve import full_id
from snapdir.api.stores import PathLike, journal_of, opened, parse_stores, pool_hint, require_answer, require_in_process
from snapdir.config import Config
from snapdir.errors import InvalidStore, LocalError, StoreError
from snapdir.model.arguments import checked
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.reports import SyncReport
from snapdir.transfer.sync import StoreSync, SyncOptions

Side = tuple[PathLike, PathLike | None]
"""A store, and the pool of its objects if they are not in it, as they were given."""


@checked
async def sync(
    snapshot_id: str,
    src: PathLike,
    dst: PathLike,
    *,
    src_objects: PathLike | None = None,
    dst_objects: PathLike | None = None,
    delete: bool = False,
    recheck: bool = False,
    server_copy: bool = True,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> SyncReport:
    """Copy a snapshot from one store to another: objects first, the manifest last. Nothing is stored on this machine.

    Args:
        src_objects, dst_objects: The pool of a side whose objects are not in the store itself.
        delete: Afterwards remove the manifests of ``dst`` that ``src`` does not have. Objects stay.
        recheck: Send every object and the manifest again, even if ``dst`` has them.
        server_copy: If one S3 service holds both stores, let it copy the objects. Such copies are compared by length,
            not by hash; ``verify`` hashes them. ``recheck`` turns this off.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject: ``src`` lacks the snapshot or has a damaged object. No manifest
            is then written to ``dst``.
        InvalidStore: a store is a program, or ``delete`` is set and ``dst`` is not a single local directory.
    """
    config, counters = config or Config(), counters or Counters()
    options = SyncOptions(recheck, server_copy, dry_run)
    async with _opened_pair(
        (src, src_objects), (dst, dst_objects), delete, options, config=config, counters=counters
    ) as pair:
        report = await pair.copy(await full_id(snapshot_id, config, pair.source, counters=counters))
        return await _pruned(pair, report) if delete else report


@checked
async def sync_all(
    src: PathLike,
    dst: PathLike,
    *,
    src_objects: PathLike | None = None,
    dst_objects: PathLike | None = None,
    delete: bool = False,
    recheck: bool = False,
    server_copy: bool = True,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> SyncReport:
    """Copy every snapshot of ``src`` that ``dst`` lacks, then their history. See ``sync`` for the arguments.
    If the history cannot be copied, ``counters`` gets a warning. Without ``config.shared_catalog`` it is not copied.

    Raises:
        TransferFailed: some snapshots are damaged; all others were copied, and nothing was removed.
    """
    config, counters = config or Config(), counters or Counters()
    options = SyncOptions(recheck, server_copy, dry_run)
    async with _opened_pair(
        (src, src_objects), (dst, dst_objects), delete, options, config=config, counters=counters
    ) as pair:
        report = await pair.copy_all()
        if config.shared_catalog and not dry_run:
            await _copy_history(pair, counters)
        return await _pruned(pair, report) if delete else report


async def _pruned(pair: StoreSync, report: SyncReport) -> SyncReport:
    return replace(report, pruned_snapshots=await pair.prune())


async def _copy_history(pair: StoreSync, counters: Counters) -> None:
    from snapdir.catalog.shared import copy_records

    try:
        await copy_records(pair.source.store, pair.target.store)
    except (LocalError, StoreError) as error:
        counters.warnings.append(
            f"all snapshots were copied, but not their history: {error}; use --no-shared-catalog to skip the history"
        )


@asynccontextmanager
async def _opened_pair(
    src: Side, dst: Side, delete: bool, options: SyncOptions, *, config: Config, counters: Counters
) -> AsyncIterator[StoreSync]:
    from_ = await parse_stores(*src, options=("--from", "--from-objects"), verb="sync")
    to = await parse_stores(*dst, options=("--to", "--to-objects"), verb="sync")
    require_in_process(from_, to)
    if delete and (to.pool is not None or to.required.scheme != "file"):
        raise InvalidStore(
            f"mirror unsupported: --delete requires a local file:// destination without a pool, not {to.url}"
        )
    with pool_hint(from_):
        async with opened(from_, config, counters) as source, opened(to, config, counters) as target:
            if options.dry_run:
                await require_answer(target)
            journal = journal_of(target, config)
            yield StoreSync(source, target, options=options, limits=config.limits, counters=counters, journal=journal)
