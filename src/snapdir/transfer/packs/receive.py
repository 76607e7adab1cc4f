"""Store a pack in a repository: objects as they arrive, the manifest when everything was right."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

import anyio.to_thread

from snapdir.errors import HashMismatchError, InvalidPack, ObjectNotFound, ungrouped
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import object_key
from snapdir.model.manifest import Manifest
from snapdir.model.pack import RecordEnd, RecordStart
from snapdir.repository.repository import Repository
from snapdir.stores.base import Upload
from snapdir.stores.batches import flushing, put_small
from snapdir.stores.workers import Channel, start_workers
from snapdir.transfer.engine.absence import absent_objects
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import held_part_size
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.engine.publishing import publish
from snapdir.transfer.packs.reader import PackedManifest, PackItem, PackReader, Small
from snapdir.transfer.packs.streams import Read
from snapdir.transfer.upload.journal import UploadJournal
from snapdir.transfer.upload.noted_uploads import NotedUploads

if TYPE_CHECKING:
    from anyio.abc import TaskGroup  # at run time it brings sockets and TLS: 25 ms

QUEUED = 64


class ReceivedPack(NamedTuple):
    """Objects of a pack that were ``written``, or ``skipped`` because the store had them, and its snapshot."""

    written: int
    skipped: int
    snapshot_id: SnapshotId | None


async def receive_pack(
    read: Read,
    to: Repository,
    *,
    required: Digest | None = None,
    limits: Limits,
    counters: Counters,
    journal: UploadJournal | None = None,
) -> ReceivedPack:
    """Store every object of a pack that hashes to its name, then its manifest.

    If anything in the pack is wrong, only the objects verified before stay, and no manifest is written. The manifest
    must be complete: its other objects have to be in the store.

    Args:
        read: Gives the pack's bytes, in a thread.
        required: The snapshot whose manifest the pack must contain.
        journal: Records uploads in progress, so that the next run can drop those of a killed run.

    Raises:
        InvalidPack: not a pack, cut off, or without the ``required`` snapshot.
        HashMismatchError: an object or manifest does not hash to its name.
        ObjectNotFound: the manifest names an object that is neither in the store nor in the pack.
        StoreError: the store fails.
    """
    reader = PackReader(read, required=required, large_bytes=limits.large_bytes)
    receiver = _Receiver(to, limits, counters, NotedUploads(to, journal, counters, resumable=False))
    with ungrouped("receive-pack"):
        async with aclosing(_items(reader)) as items:
            manifest = await receiver.receive(items)
    if required is not None and manifest is None:
        raise InvalidPack(f"it does not contain the required manifest {required}")
    if manifest is None:
        await to.flush()
    else:
        await _require_objects(manifest.manifest, receiver.seen, to, limits)
        await publish(to, manifest.manifest, SnapshotId(manifest.digest), counters)
    await receiver.uploads.sweep(receiver.seen)
    identifier = None if manifest is None else SnapshotId(manifest.digest)
    return ReceivedPack(counters.objects_received, counters.objects_skipped, identifier)


async def _items(reader: PackReader) -> AsyncGenerator[PackItem, None]:
    while (items := await anyio.to_thread.run_sync(reader.next_items)) is not None:
        for item in items:
            yield item


async def _require_objects(manifest: Manifest, seen: set[Digest], to: Repository, limits: Limits) -> None:
    others = {planned.digest: planned.path for planned in plan_objects(manifest) if planned.digest not in seen}
    absent = await absent_objects(list(others), to, limits=limits) if others else []
    if absent:
        raise ObjectNotFound(
            f"{absent[0]} (for {others[absent[0]]}) and {len(absent) - 1} more of the manifest are neither in the pack"
            f" nor in {to.objects.url}"
        )


class _Receiver:
    """Stores the objects of a pack. ``seen`` are those that are safely in the store."""

    def __init__(self, to: Repository, limits: Limits, counters: Counters, uploads: NotedUploads) -> None:
        self.seen: set[Digest] = set()
        self.uploads = uploads
        self._to = to
        self._batch = to.objects.batch_writer()
        self._limits = limits
        self._counters = counters
        self._memory = ByteBudget(limits.memory_bytes)

    async def receive(self, items: AsyncIterator[PackItem]) -> PackedManifest | None:
        manifest, failure = None, None
        small = Channel[Small](QUEUED)
        async with flushing(self._batch), anyio.create_task_group() as group:
            start_workers(group, small, self._store_small, workers=self._limits.workers(self._to.objects))
            try:
                manifest = await self._take(items, small)
            except (InvalidPack, HashMismatchError) as error:
                failure = error  # raised when the objects before it are stored, for the next try to find
            small.close()
        if failure is not None:
            raise failure
        return manifest

    async def _take(self, items: AsyncIterator[PackItem], small: Channel[Small]) -> PackedManifest | None:
        manifest = None
        async for item in items:
            if isinstance(item, Small):
                await self._memory.acquire(len(item.data))
                await small.put(item)
            elif isinstance(item, RecordStart):
                with ungrouped("receive-pack"):
                    await self._store_large(item, items)
            elif isinstance(item, PackedManifest):
                manifest = item
        return manifest

    async def _store_small(self, item: Small) -> None:
        try:
            if await self._is_present(item.digest, len(item.data)):
                return
            await put_small(self._to.objects, self._batch, object_key(item.digest), item.data)
            self._count(item.digest, len(item.data))
        finally:
            self._memory.release(len(item.data))

    async def _store_large(self, start: RecordStart, items: AsyncIterator[PackItem]) -> None:
        if await self._is_present(start.digest, start.length):
            async for item in items:
                if isinstance(item, RecordEnd):
                    return
        part_bytes = held_part_size(start.length, self._limits, self._to.objects.capabilities)
        begun = self.uploads.begin(start.digest, size=start.length, part_bytes=part_bytes)
        async with begun as upload, anyio.create_task_group() as group:
            await self._send_parts(group, upload, part_bytes, items)
        self._count(start.digest, start.length)

    async def _send_parts(
        self, group: TaskGroup, upload: Upload, part_bytes: int, items: AsyncIterator[PackItem]
    ) -> None:
        """Cut the blocks of one object into parts, and send each while the next one is read."""
        number, part = 1, bytearray()
        async for item in items:
            if isinstance(item, bytes):
                part += item
            while len(part) >= part_bytes or (part and isinstance(item, RecordEnd)):
                await self._memory.acquire(len(part[:part_bytes]))
                group.start_soon(self._send_part, upload, number, bytes(part[:part_bytes]))
                number, part = number + 1, part[part_bytes:]
            if isinstance(item, RecordEnd):
                return

    async def _send_part(self, upload: Upload, number: int, data: bytes) -> None:
        try:
            await upload.write_part(number, data)
        finally:
            self._memory.release(len(data))

    async def _is_present(self, digest: Digest, size: int) -> bool:
        present = digest in self.seen or await self._to.object_size(digest) == size
        if present:
            self.seen.add(digest)
            self._counters.objects_skipped += 1
        return present

    def _count(self, digest: Digest, size: int) -> None:
        self.seen.add(digest)
        self._counters.objects_received += 1
        self._counters.bytes_received += size
