"""One run of checkout or pull: from a store or the cache into a directory, with the record that ``status`` reads."""

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

from snapdir.api.destination import own_directories, report_leftovers
from snapdir.api.resolve import full_id, id_here
from snapdir.api.stores import (
    CACHE_HINT,
    PathLike,
    StorePair,
    local_path,
    opened_cache,
    opened_or_none,
    pool_hint,
    require_answer,
)
from snapdir.config import Config
from snapdir.errors import SnapdirError, local_error
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.cache import held_manifest, require_cached, set_aside
from snapdir.repository.repository import Repository
from snapdir.transfer.checkout import checkout, rehearse_checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.reports import PullReport
from snapdir.transfer.engine.selection import Selection
from snapdir.transfer.fetch import FetchOptions, fetch
from snapdir.transfer.pull import PullOptions, pull, rehearse_pull

if TYPE_CHECKING:
    from snapdir.transfer.download.local_objects import Mend
    from snapdir.transfer.engine.planned_objects import PlannedObject


async def fetch_into_cache(
    snapshot_id: str, stores: StorePair, options: FetchOptions, config: Config, counters: Counters
) -> tuple[SnapshotId, Manifest]:
    """Fetch a snapshot, from a store program too; its whole id and its manifest."""
    async with opened_cache(config) as cache:
        if options.dry_run:
            await require_answer(cache)
        if stores.program is not None:
            from snapdir.transfer.external import fetch_external

            identifier = await id_here(stores, snapshot_id, config, counters)
            return identifier, await fetch_external(
                identifier, stores.program, cache, options=options, limits=config.limits, counters=counters
            )
        async with opened_or_none(stores, config, counters) as source:
            identifier = await full_id(snapshot_id, config, source, counters=counters)
            with pool_hint(stores):
                return identifier, await fetch(
                    identifier, source, cache, options=options, limits=config.limits, counters=counters
                )


async def cached_manifest(identifier: SnapshotId, cache: Repository, selection: Selection) -> Manifest:
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
class CheckoutRun:
    """A destination, and how it is written.

    Attributes:
        stores: Where a pull fetches from.
    """

    dest: Path
    options: CheckoutOptions
    config: Config
    counters: Counters
    stores: StorePair

    @classmethod
    def prepared(
        cls, dest: PathLike, options: CheckoutOptions, config: Config, counters: Counters, stores: StorePair
    ) -> CheckoutRun:
        """A run whose options are those of the caller and those of ``config``."""
        options = options._replace(
            own_directories=own_directories(config, stores), fsync=config.stores.fsync, clone=config.stores.clone
        )
        return cls(Path(local_path(dest)), options, config, counters, stores)

    async def through_cache(self, snapshot_id: str, *, dry_run: bool) -> SnapshotId:
        """Fetch into the cache, then check out."""
        options = FetchOptions(self.config.stores, self.options.selection, dry_run)
        identifier, manifest = await fetch_into_cache(snapshot_id, self.stores, options, self.config, self.counters)
        async with opened_cache(self.config) as cache:
            if dry_run:
                await self.rehearse(manifest, cache)
            else:
                manifest = await cached_manifest(identifier, cache, self.options.selection)
                await self.write(
                    manifest, cache, mend=partial(self._mend, identifier, cache) if self.stores.url else None
                )
        return identifier

    async def straight(self, snapshot_id: str, *, keep: bool, dry_run: bool) -> SnapshotId:
        """Fetch into the destination what the cache does not hold.

        Args:
            keep: Keep copies in the cache that are reflinks.
        """
        options = PullOptions(self.options, keep and self.options.clone, keep, self.config.stores)
        limits, counters = self.config.limits, self.counters
        async with opened_cache(self.config) as cache:
            if dry_run and self.stores.program is not None:
                from snapdir.transfer.external import rehearse_external

                identifier = await id_here(self.stores, snapshot_id, self.config, counters)
                await rehearse_external(
                    identifier, self.stores.program, cache, self.dest, options=options, limits=limits, counters=counters
                )
                return identifier
            async with self._source(snapshot_id, cache) as (identifier, source):
                run = rehearse_pull if dry_run else pull
                with pool_hint(self.stores):
                    await run(identifier, source, cache, self.dest, options=options, limits=limits, counters=counters)
        return identifier

    @asynccontextmanager
    async def _source(self, snapshot_id: str, cache: Repository) -> AsyncIterator[tuple[SnapshotId, Repository | None]]:
        """The whole id, and where the objects come from: the store, or what a store program gives."""
        program = self.stores.program
        if program is None:
            async with opened_or_none(self.stores, self.config, self.counters) as source:
                yield await full_id(snapshot_id, self.config, source, counters=self.counters), source
        else:
            from snapdir.transfer.external import staged_for_pull

            identifier = await id_here(self.stores, snapshot_id, self.config, self.counters)
            limits = self.config.limits
            async with staged_for_pull(identifier, program, cache, self.options.selection, limits=limits) as source:
                yield identifier, source

    async def write(self, manifest: Manifest, source: Repository, *, mend: Mend | None = None) -> None:
        limits = self.config.limits
        await checkout(
            manifest, source, self.dest, options=self.options, limits=limits, counters=self.counters, mend=mend
        )

    async def rehearse(self, manifest: Manifest, cache: Repository) -> None:
        """Count and list the effects of ``write``; fail if it would fail."""
        limits = self.config.limits
        run = partial(rehearse_checkout, options=self.options, limits=limits, counters=self.counters)
        await anyio.to_thread.run_sync(run, manifest, cache, self.dest)

    async def _mend(self, identifier: SnapshotId, cache: Repository, unsound: Sequence[PlannedObject]) -> None:
        """Fetch damaged objects of the cache again. The cache keeps the old ones until the new ones have come."""
        counters = Counters()
        options = FetchOptions(self.config.stores, self.options.selection)
        try:
            async with set_aside([planned.digest for planned in unsound], cache):
                await fetch_into_cache(identifier, self.stores, options, self.config, counters)
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

    async def finish(self, identifier: SnapshotId, stores: StorePair, *, dry_run: bool, strict: bool) -> PullReport:
        """Remember for ``status`` what the destination holds, and report. A record that fails is a warning.

        Args:
            stores: Where the snapshot came from.
        """
        if not dry_run:
            try:
                await anyio.to_thread.run_sync(self._write_record, identifier, stores)
            except OSError as error:
                reason = local_error(error, self.config.cache_dir)
                self.counters.warnings.append(
                    f"this checkout is not recorded for `snapdir status {self.dest}`: {reason}; {CACHE_HINT}"
                )
        if self.counters.pruned and not self.counters.snapshot_files:
            said = "would remove" if dry_run else "removed"
            self.counters.warnings.append(f"the snapshot has no files: --delete {said} what was in {self.dest}")
        report_leftovers(self.dest, self.counters, whole=not self.options.selection.is_partial, strict=strict)
        return PullReport.of(identifier, self.counters)

    def _write_record(self, identifier: SnapshotId, stores: StorePair) -> None:
        from snapdir.disk.directory_record import DirectoryRecord, write_record

        selection = self.options.selection
        store, pool = (None if url is None else url.without_credentials for url in stores)
        record = DirectoryRecord(
            directory=os.path.realpath(self.dest),
            snapshot_id=str(identifier),
            store=store,
            objects_store=pool,
            include=selection.include,
            exclude=selection.exclude,
            shard=str(selection.shard) if selection.shard else None,
            recorded_at=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        )
        write_record(self.config.cache_dir, record, fsync=self.config.stores.fsync)
