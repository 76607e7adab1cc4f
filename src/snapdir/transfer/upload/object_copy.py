"""Copy objects from one repository to another, without a local copy."""

from __future__ import annotations

from collections.abc import Sequence

from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.repository.presence import Answer, Presence
from snapdir.repository.repository import Repository
from snapdir.stores.batches import flushing, put_small
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.absence import require_present
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import Part, held_part_size
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.engine.ranges import RangeReader
from snapdir.transfer.engine.requests import reading_requests, writing_requests
from snapdir.transfer.engine.true_size import with_true_size
from snapdir.transfer.upload.journal import UploadJournal
from snapdir.transfer.upload.noted_uploads import NotedUploads
from snapdir.transfer.upload.server_copy import ServerCopy

SERVER_COPY_REQUESTS = 3
"""For an object: see ``ServerCopy.copy``."""


class ObjectCopier:
    """Copies the objects that ``target`` lacks. Each object is looked up once.

    Args:
        recheck: Ignore the objects that ``target`` has: send every object again.
        server_copy: If one service holds both, let it copy, unless ``recheck``. Such copies are not hashed.
        journal: Records uploads in progress, so that the next run can drop those of a killed run.
    """

    def __init__(
        self,
        source: Repository,
        target: Repository,
        limits: Limits,
        counters: Counters,
        *,
        recheck: bool = False,
        server_copy: bool = True,
        journal: UploadJournal | None = None,
    ) -> None:
        self._workers = limits.workers(source.objects, target.objects)
        self._memory = ByteBudget(limits.memory_bytes)
        self._ranges = RangeReader(source, limits, counters, memory=self._memory)
        self._source = source
        self._target = target
        self._limits = limits
        self._counters = counters
        self._recheck = recheck
        self._uploads = NotedUploads(target, journal, counters, resumable=False)
        self._server_copy = ServerCopy(source, target, self._uploads, counters) if server_copy and not recheck else None
        self._presence = Presence(target)
        self._batch = target.objects.batch_writer()
        self._settled: set[bytes] = set()

    async def copy_all(self, objects: Sequence[PlannedObject]) -> None:
        """Copy those of ``objects`` that the target lacks, several at a time, each verified on its way.

        Raises:
            ObjectNotFound, CorruptObject: the source lacks an object, or has a damaged one.
        """
        await self._learn(len(objects))
        async with flushing(self._batch):
            await run_workers(objects, self._copy, workers=self._workers)
        await self._uploads.sweep(planned.digest for planned in objects)

    async def find_missing(self, objects: Sequence[PlannedObject]) -> list[PlannedObject]:
        """Those of ``objects`` that a copy would have to send; all count as settled from then on.

        Raises:
            ObjectNotFound: the source lacks an object that would be sent.
        """
        await self._learn(len(objects))
        missing: list[PlannedObject] = []

        async def look(planned: PlannedObject) -> None:
            present = self._is_settled(planned) or await self._has_any_length(planned)
            self._settled.add(bytes.fromhex(planned.digest))
            if not present:
                missing.append(planned)

        await run_workers(objects, look, workers=self._workers)
        await require_present(missing, self._source, limits=self._limits)
        return missing

    def requests_for(self, objects: Sequence[PlannedObject]) -> int:
        """About how many requests it takes to copy ``objects``."""
        read_from, written_to = self._source.objects.capabilities, self._target.objects.capabilities
        if self._server_copy and written_to.copy_service and written_to.copy_service == read_from.copy_service:
            return SERVER_COPY_REQUESTS * len(objects)
        reading = reading_requests(objects, read_from, self._limits, in_streams=False)
        return reading + writing_requests(objects, written_to, self._limits)

    async def _learn(self, count: int) -> None:
        """List the target if that takes fewer requests than looking up ``count`` objects."""
        capabilities = self._target.objects.capabilities
        if not self._recheck and capabilities.remote and count >= capabilities.list_page_keys // 8:
            await self._presence.list_if_it_pays(count)

    async def _copy(self, planned: PlannedObject) -> None:
        listed_size = planned.size

        async def copy_sized(size: int) -> None:
            if await self._is_present(planned.digest, size):
                self._counters.objects_skipped += 1
            # Only at the length in the manifest: a length from the store itself would prove nothing.
            elif size == listed_size and self._server_copy and await self._server_copy.copy(planned.digest, size):
                self._counters.bytes_done += size
                self._counters.count_sent(size)
            elif size <= self._limits.large_bytes:
                await self._copy_whole(planned.digest, size)
            else:
                await self._copy_parts(planned.digest, size)

        if self._is_settled(planned) or (planned.size is None and await self._is_as_long(planned.digest)):
            self._counters.objects_skipped += 1
        else:
            await with_true_size(self._source, planned, copy_sized)
        self._settled.add(bytes.fromhex(planned.digest))
        self._counters.files_done += 1

    def _is_settled(self, planned: PlannedObject) -> bool:
        return bytes.fromhex(planned.digest) in self._settled

    async def _is_present(self, digest: Digest, size: int) -> bool:
        if self._recheck:
            return False
        answer = self._presence.answer(digest, size)
        if answer is Answer.UNKNOWN:
            return await self._target.object_size(digest) == size
        return answer is Answer.PRESENT

    async def _is_as_long(self, digest: Digest) -> bool:
        """Whether the target has an object of uncertain length: as long as the source's, if that has it too."""
        held = None if self._recheck else await self._target.object_size(digest)
        return held is not None and await self._source.object_size(digest) in (None, held)

    async def _has_any_length(self, planned: PlannedObject) -> bool:
        if planned.size is not None:
            return await self._is_present(planned.digest, planned.size)
        return await self._target.object_size(planned.digest) is not None

    async def _copy_whole(self, digest: Digest, size: int) -> None:
        async with self._memory.share(size):
            data = await self._source.read_object(digest, size)
            await put_small(self._target.objects, self._batch, object_key(digest), data)
        self._counters.bytes_done += size
        self._counters.count_sent(size)

    async def _copy_parts(self, digest: Digest, size: int) -> None:
        """Each part is sent when it arrives; the object is published only when all of it has hashed right."""
        part_bytes = held_part_size(size, self._limits, self._target.objects.capabilities)
        async with self._uploads.begin(digest, size=size, part_bytes=part_bytes) as upload:

            async def send(part: Part, data: memoryview) -> None:
                await upload.write_part(part.number, data)

            await self._ranges.read_verified(digest, size, send, part_bytes=part_bytes)
        self._counters.count_sent(size)
