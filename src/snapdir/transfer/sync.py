"""Copy snapshots from one repository to another: objects first, each manifest last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from snapdir.errors import (
    CorruptManifest,
    HashMismatchError,
    InvalidManifest,
    ManifestNotFound,
    ObjectNotFound,
    SnapdirError,
    StoreMissing,
    TransferFailed,
    ungrouped,
)
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import manifest_key
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.engine.publishing import publish
from snapdir.transfer.engine.rehearsal import Rehearsal
from snapdir.transfer.engine.reports import SyncReport
from snapdir.transfer.upload.journal import UploadJournal
from snapdir.transfer.upload.object_copy import ObjectCopier

DAMAGED = (HashMismatchError, InvalidManifest, ManifestNotFound, ObjectNotFound)
"""Damage of a single snapshot: the next one may be sound."""

LOOKS_AT_ONCE = 32


class SyncOptions(NamedTuple):
    """Options of a sync.

    Attributes:
        recheck: Copy a snapshot although the target has its manifest: send every object again, and the manifest.
        server_copy: If one service holds both stores, let it copy, unless ``recheck``. Such copies are not hashed.
        dry_run: Only count, and make sure that the source has the objects to send; nothing is written.
    """

    recheck: bool = False
    server_copy: bool = True
    dry_run: bool = False


class StoreSync:
    """Copies snapshots from ``source`` to ``target``.

    Args:
        journal: Records uploads in progress, so that the next run can drop those of a killed run.
    """

    def __init__(
        self,
        source: Repository,
        target: Repository,
        *,
        options: SyncOptions,
        limits: Limits,
        counters: Counters,
        journal: UploadJournal | None = None,
    ) -> None:
        self._rehearsal = Rehearsal(target) if options.dry_run else None
        self.source = source
        self.target = target = self._rehearsal or target
        self._options = options
        self._counters = counters
        self._copier = ObjectCopier(
            source, target, limits, counters, recheck=options.recheck, server_copy=options.server_copy, journal=journal
        )

    async def copy(self, snapshot_id: Digest) -> SyncReport:
        """Copy one snapshot. A snapshot that is there already costs one read, and the flush of a target on this host.

        Raises:
            ManifestNotFound, ObjectNotFound, CorruptObject: the source lacks the snapshot, or has a damaged object. No
                manifest is then written to the target.
        """
        published = None if self._options.recheck else await self._published(snapshot_id)
        if published is not None:
            self._counters.already_complete = True
            await self.target.flush()
            return self._counted(self._report(snapshot_id, published))
        return self._counted(await self._copy_new(snapshot_id))

    async def copy_all(self) -> SyncReport:
        """Copy every snapshot of the source that the target does not list at the same length.

        If a snapshot is damaged, the others are copied all the same.

        Raises:
            TransferFailed: some snapshots could not be copied; all others were copied.
        """
        present = {} if self._options.recheck else await _listed(self.target)
        reports: list[SyncReport] = []
        failures: list[SnapdirError] = []
        listed = await _listed(self.source, must_exist=True)
        if not listed:
            self._counters.warnings.append(f"no snapshots in {self.source.url}: check its URL")
        for snapshot_id, _ in sorted(listed.items() - present.items()):
            try:
                reports.append(await self._copy_new(snapshot_id))
            except DAMAGED as error:
                error.add_note(f"while copying snapshot {snapshot_id}")
                failures.append(error)
        if not self._options.dry_run:
            await self.target.flush()
        if failures:
            raise TransferFailed("sync --all", failures) if len(failures) > 1 else failures[0]
        return self._counted(_sum(reports), listings=1)

    async def prune(self) -> tuple[Digest, ...]:
        """Remove the target's manifests of snapshots that the source does not have; their ids, sorted. Objects stay.

        A listing may be wrong, so each snapshot is looked up in the source before any manifest is removed.

        Raises:
            SnapdirError: the source lists no snapshots, which is probably a mistake; or its listing is wrong, and lacks
                a snapshot or shows a missing one. Nothing is removed.
            StoreError, LocalError: the source cannot be read. Nothing is removed.
        Cost: a listing of both, and one request for each manifest that goes.
        """
        listed = await _listed(self.source, must_exist=True)
        extra = sorted((await _listed(self.target)).keys() - listed.keys())
        if extra and not listed:
            raise SnapdirError(f"{self.source.url} has no snapshots; nothing was deleted from {self.target.url}")
        if extra:
            await self._require_absent(extra, listed=min(listed))
        if not self._options.dry_run:
            await self.target.store.delete([manifest_key(snapshot_id) for snapshot_id in extra])
        return tuple(extra)

    async def _require_absent(self, snapshot_ids: Sequence[Digest], *, listed: Digest) -> None:
        """Make sure that the source lacks these snapshots and has ``listed``; otherwise its listings are wrong."""
        if not await self._has(listed):
            raise self._doubt(f"lists the snapshot {listed} but does not have it")

        async def check(snapshot_id: Digest) -> None:
            if await self._has(snapshot_id):
                raise self._doubt(f"has the snapshot {snapshot_id} but does not list it")

        with ungrouped(f"prune {self.target.url}"):
            await run_workers(snapshot_ids, check, workers=LOOKS_AT_ONCE)

    async def _has(self, snapshot_id: Digest) -> bool:
        try:
            await self.source.store.stat(manifest_key(snapshot_id))
        except ObjectNotFound:
            return False
        return True

    def _doubt(self, reason: str) -> SnapdirError:
        return SnapdirError(f"{self.source.url} {reason}; nothing was pruned from {self.target.url}")

    async def _copy_new(self, snapshot_id: Digest) -> SyncReport:
        manifest = await self.source.read_manifest(snapshot_id)
        objects = plan_objects(manifest)
        counters = self._counters
        counters.begin_objects("transfer", objects)
        before = (counters.objects_sent, counters.objects_skipped, counters.bytes_sent)
        with ungrouped(f"sync {snapshot_id}"):
            if self._options.dry_run:
                return await self._planned(snapshot_id, manifest, objects)
            await self._copier.copy_all(objects)
        await publish(self.target, manifest, SnapshotId(snapshot_id), counters, replace=self._options.recheck)
        after = (counters.objects_sent, counters.objects_skipped, counters.bytes_sent)
        copied, skipped, copied_bytes = (now - then for now, then in zip(after, before, strict=True))
        return self._report(snapshot_id, manifest, copied, skipped, copied_bytes, manifests=1)

    async def _planned(self, snapshot_id: Digest, manifest: Manifest, objects: Sequence[PlannedObject]) -> SyncReport:
        """The report of a dry run."""
        missing = await self._copier.find_missing(objects)
        manifest_requests = sum(
            count for count, side in ((1, self.source), (2, self.target)) if side.store.capabilities.remote
        )
        size_bytes = sum(planned.size or 0 for planned in missing)
        report = self._report(snapshot_id, manifest, len(missing), len(objects) - len(missing), size_bytes, manifests=1)
        return replace(report, requests_to_send=manifest_requests + self._copier.requests_for(missing))

    def _counted(self, report: SyncReport, *, listings: int = 0) -> SyncReport:
        """In a dry run, the report with the look-ups so far too: a run sends them as well.

        Args:
            listings: Of the source.
        """
        if self._rehearsal is None:
            return report
        looked = self._rehearsal.requests + (listings if self.source.store.capabilities.remote else 0)
        return replace(report, requests_to_send=report.requests_to_send + looked)

    async def _published(self, snapshot_id: Digest) -> Manifest | None:
        """The target's manifest; None if it is absent or torn."""
        try:
            return await self.target.read_manifest(snapshot_id)
        except (ManifestNotFound, StoreMissing, CorruptManifest, InvalidManifest):
            return None

    def _report(
        self,
        snapshot_id: Digest,
        manifest: Manifest,
        copied: int = 0,
        skipped: int = 0,
        copied_bytes: int = 0,
        *,
        manifests: int = 0,
    ) -> SyncReport:
        totals = manifest.totals()
        return SyncReport(
            (snapshot_id,),
            copied,
            skipped,
            copied_bytes,
            manifests=manifests,
            files=totals.files,
            bytes=totals.bytes,
        )


async def _listed(repository: Repository, *, must_exist: bool = False) -> dict[Digest, int]:
    """Snapshots, each with the length of its manifest."""
    try:
        return {each.snapshot_id: each.manifest_bytes async for each in repository.list_published()}
    except StoreMissing:
        if must_exist:
            raise
        return {}  # its first write makes the store


def _sum(reports: list[SyncReport]) -> SyncReport:
    return SyncReport(
        tuple(snapshot_id for report in reports for snapshot_id in report.snapshots),
        copied=sum(report.copied for report in reports),
        skipped=sum(report.skipped for report in reports),
        copied_bytes=sum(report.copied_bytes for report in reports),
        manifests=sum(report.manifests for report in reports),
        requests_to_send=sum(report.requests_to_send for report in reports),
        files=sum(report.files for report in reports),
        bytes=sum(report.bytes for report in reports),
    )
