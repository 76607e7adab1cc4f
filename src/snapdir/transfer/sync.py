"""Copy a snapshot from one repository to another, without a stop on disk."""

from __future__ import annotations

import anyio
import anyio.from_thread

from snapdir.errors import CorruptManifest, InvalidManifest, ManifestNotFound, StoreMissing, ungrouped
from snapdir.model.digest import Digest, SnapshotId
from snapdir.repository.repository import Repository
from snapdir.stores.base import Upload
from snapdir.transfer.events import Counters
from snapdir.transfer.limits import Limits
from snapdir.transfer.parts import Part, part_size
from snapdir.transfer.plan import Wanted, plan_objects
from snapdir.transfer.ranges import RangeReader, Sink
from snapdir.transfer.stages import Budget, run_workers
from snapdir.transfer.true_size import with_true_size
from snapdir.transfer.upload import ABORT_SECONDS

__all__ = ["sync"]


async def sync(
    snapshot_id: Digest,
    source: Repository,
    target: Repository,
    *,
    limits: Limits,
    counters: Counters,
    recheck: bool = False,
) -> None:
    """Copy every object that ``target`` lacks, then the manifest. A snapshot that is there already costs one read.

    Args:
        recheck: Trust nothing ``target`` says it has: every object is sent again, and the manifest.

    Raises:
        ManifestNotFound, ObjectNotFound, CorruptObject: the source cannot give it; the target then has no manifest.
    """
    if not recheck and await _is_published(snapshot_id, target):
        counters.already_complete = True
        return
    manifest = await source.read_manifest(snapshot_id)
    objects = plan_objects(manifest)
    counters.begin("transfer", files=len(objects), bytes_=sum(one.size or 0 for one in objects))
    copier = _Copier(source, target, limits, counters, recheck=recheck)
    with ungrouped(f"sync {snapshot_id}"):
        await run_workers(objects, copier.copy, workers=min(copier.workers, len(objects)))
    await target.write_manifest(manifest, SnapshotId(snapshot_id), replace=recheck)


async def _is_published(snapshot_id: Digest, target: Repository) -> bool:
    try:
        await target.read_manifest(snapshot_id)
    except (ManifestNotFound, StoreMissing, CorruptManifest, InvalidManifest):
        return False  # absent, or torn: only then is there something to do
    return True


class _Copier:
    def __init__(
        self, source: Repository, target: Repository, limits: Limits, counters: Counters, *, recheck: bool
    ) -> None:
        concurrency = min(source.objects.capabilities.max_concurrency, target.objects.capabilities.max_concurrency)
        self.workers = limits.workers(concurrency)
        self._memory = Budget(limits.memory_bytes)
        self._ranges = RangeReader(source, limits, counters, memory=self._memory)
        self._source = source
        self._target = target
        self._limits = limits
        self._counters = counters
        self._recheck = recheck

    async def copy(self, one: Wanted) -> None:
        async def copy_sized(size: int) -> None:
            if await self._is_present(one.digest, size):
                self._counters.objects_skipped += 1
            elif size <= self._limits.large_bytes:
                await self._copy_whole(one.digest, size)
            else:
                await self._copy_parts(one.digest, size)

        await with_true_size(self._source, one, copy_sized)
        self._counters.files_done += 1

    async def _is_present(self, digest: Digest, size: int) -> bool:
        return not self._recheck and await self._target.object_size(digest) == size

    async def _copy_whole(self, digest: Digest, size: int) -> None:
        async with self._memory.share(size):
            data = await self._source.read_object(digest, size)
            await self._target.write_object(digest, data)
        self._counters.bytes_done += size
        self._count_sent(size)

    async def _copy_parts(self, digest: Digest, size: int) -> None:
        """Each part is sent on when it arrives; the object is published only when all of it has hashed right."""
        part_bytes = part_size(size, self._limits.part_bytes, self._target.objects.capabilities)
        upload = await self._target.begin_object(digest, size=size, part_bytes=part_bytes)
        try:
            await self._ranges.read_verified(digest, size, _part_writer(upload), part_bytes=part_bytes)
            await upload.commit()
        except BaseException:
            with anyio.move_on_after(ABORT_SECONDS, shield=True):
                await upload.abort()
            raise
        self._count_sent(size)

    def _count_sent(self, size: int) -> None:
        self._counters.objects_sent += 1
        self._counters.bytes_sent += size


def _part_writer(upload: Upload) -> Sink:
    def write(part: Part, data: memoryview) -> None:
        anyio.from_thread.run(upload.write_part, part.number, data)

    return write
