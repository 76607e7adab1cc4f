"""Write objects of a repository, and the manifest that names them, as one pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.errors import InvalidPack, ungrouped
from snapdir.model.digest import Digest
from snapdir.model.manifest import Manifest
from snapdir.model.pack import END, MANIFEST, MAX_MANIFEST_BYTES, OBJECT, record_line
from snapdir.model.sizes import MIB, format_size
from snapdir.repository.repository import Repository
from snapdir.stores.workers import Channel, batches, run_workers
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import Part
from snapdir.transfer.engine.ranges import RangeReader
from snapdir.transfer.packs.streams import PackOutput, Write

if TYPE_CHECKING:
    from anyio.abc import TaskGroup  # at run time it brings sockets and TLS: 25 ms

FLUSH_BYTES = MIB
"""Small records that share one hop to the thread that writes."""

SIZES_AT_ONCE = 64


async def send_pack(
    digests: Sequence[Digest],
    source: Repository,
    write: Write,
    *,
    manifest_id: Digest | None = None,
    compressed: bool = False,
    limits: Limits,
    counters: Counters,
) -> None:
    """Write a pack of the objects ``digests``, in order, each hashed while it is sent, and then a manifest.

    Objects are fetched ahead while earlier ones are written. The last line, without which a pack is invalid, is written
    only when everything before it was right.

    Args:
        digests: Without repeats.
        write: Called with the pack's bytes, in a thread, one call at a time. Its exceptions pass through.

    Raises:
        ManifestNotFound: before anything is written.
        ObjectNotFound, CorruptObject, StoreError: an object is missing or damaged, or the source fails.
    """
    manifest = None if manifest_id is None else await _sendable(manifest_id, source)
    output = PackOutput(write, compressed=compressed)
    sender = _Sender(source, output, limits, counters)
    with ungrouped("send-pack"):
        await sender.send(digests)
    if manifest is not None and manifest_id is not None:
        await sender.add(record_line(MANIFEST, manifest_id, manifest.stored_bytes))
        for block in manifest.blocks():
            await sender.add(block)
    await sender.add(END)
    await sender.flush()
    await anyio.to_thread.run_sync(output.finish)


async def _sendable(manifest_id: Digest, source: Repository) -> Manifest:
    manifest = await source.read_manifest(manifest_id)
    if manifest.stored_bytes > MAX_MANIFEST_BYTES:
        limit = format_size(MAX_MANIFEST_BYTES)
        raise InvalidPack(f"the manifest {manifest_id} is longer than the {limit} that a pack can carry; use sync")
    return manifest


@dataclass(slots=True)
class _Ahead:
    """An object whose turn comes; ``data`` is there once ``arrived`` is set, unless it is large."""

    digest: Digest
    size: int
    data: bytes = b""
    arrived: anyio.Event = field(default_factory=anyio.Event)


class _Sender:
    def __init__(self, source: Repository, output: PackOutput, limits: Limits, counters: Counters) -> None:
        self._source = source
        self._output = output
        self._limits = limits
        self._counters = counters
        # Halves, so that small objects which wait behind a large one cannot hold what its ranges need.
        self._memory = ByteBudget(limits.memory_bytes // 2)
        self._ranges = RangeReader(source, limits, counters, memory=ByteBudget(limits.memory_bytes // 2))
        self._pending = bytearray()

    async def send(self, digests: Sequence[Digest]) -> None:
        ordered = Channel[_Ahead](self._limits.workers(self._source.objects))
        async with anyio.create_task_group() as group:
            group.start_soon(self._fetch_ahead, group, digests, ordered)
            async for item in ordered:
                await self._send_one(item)
                self._counters.count_sent(item.size)

    async def add(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) >= FLUSH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        await anyio.to_thread.run_sync(self._output.write, pending)

    async def _send_one(self, item: _Ahead) -> None:
        await self.add(record_line(OBJECT, item.digest, item.size))
        if item.size > self._limits.large_bytes:
            await self.flush()
            # Written bytes cannot be taken back: damage ends the pack instead of being read again.
            await self._ranges.read_verified(item.digest, item.size, self._write_part, attempts=1)
            return
        await item.arrived.wait()
        await self.add(item.data)
        self._memory.release(item.size)

    async def _write_part(self, part: Part, data: memoryview) -> None:
        del part
        await anyio.to_thread.run_sync(self._output.write, data)

    async def _fetch_ahead(self, group: TaskGroup, digests: Sequence[Digest], ordered: Channel[_Ahead]) -> None:
        sizes: dict[Digest, int] = {}

        async def look_up(digest: Digest) -> None:
            size = await self._source.object_size(digest)
            if size is None:
                raise self._source.lacks(digest)
            sizes[digest] = size

        for batch in batches(digests, SIZES_AT_ONCE):
            await run_workers(batch, look_up, workers=len(batch))
            for digest in batch:
                item = _Ahead(digest, sizes.pop(digest))
                if item.size <= self._limits.large_bytes:
                    await self._memory.acquire(item.size)
                    group.start_soon(self._fetch, item)
                await ordered.put(item)
        ordered.close()

    async def _fetch(self, item: _Ahead) -> None:
        item.data = await self._source.read_object(item.digest, item.size)
        item.arrived.set()
