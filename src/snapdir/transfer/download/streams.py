"""Fetch large objects into a sink by several streams, spread over the objects, without a whole part in memory.

A stream receives a block, and hashes and writes it while it is in the processor's cache. While there are enough objects
each has one stream, which brings it from its beginning; otherwise more streams bring later parts of it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import anyio.to_thread

from snapdir.disk.room import require_room
from snapdir.disk.system import usable_cpus
from snapdir.errors import CorruptObject, LocalError, NoSpace, SnapdirError, local_errors
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.blocks import BlockSink
from snapdir.transfer.download.assembly import Assembly, Segment
from snapdir.transfer.download.hedging import HedgedRequest, RequestsInFlight
from snapdir.transfer.download.object_sink import ObjectSink
from snapdir.transfer.download.stream_scaling import Moment, StreamScaling
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled, is_interruption
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import LONE_SEGMENT_BYTES, part_size
from snapdir.transfer.engine.planned_objects import PlannedObject

if TYPE_CHECKING:
    from anyio.abc import TaskGroup  # at run time it brings sockets and TLS: 25 ms

MAX_STREAMS = 32
"""Concurrent requests for large objects: 2.5 GB/s in all if a connection to S3 gives 80 MB/s."""

LOOK_SECONDS = 0.015

STREAM_BYTES = 2 * MIB
"""Memory of a stream: one block, or over TLS a smaller block and the data to decrypt."""
ENCRYPTED_BLOCK_BYTES = STREAM_BYTES // 4
"""It stays in the processor's cache until it is hashed and written: a tenth less CPU than with 2 MiB."""
BESIDE_SMALL_SHARE = 0.5
"""The share of the memory that streams may hold, from start to end, while small objects are received too."""


class Damaged(NamedTuple):
    """An object that was not published: its bytes hash to ``actual``, or are what ``actual`` says."""

    planned: PlannedObject
    actual: str


class LargeObjects:
    """Fetches objects of known size within one transfer's memory: STREAM_BYTES a stream.

    Args:
        beside_small: Small objects are received meanwhile, within the same memory.
    """

    def __init__(
        self,
        source: Repository,
        sink: ObjectSink,
        limits: Limits,
        counters: Counters,
        *,
        memory: ByteBudget,
        beside_small: bool = False,
    ) -> None:
        self._source = source
        self._sink = sink
        self._limits = limits
        self._counters = counters
        self._memory = memory
        streams = min(limits.jobs or MAX_STREAMS, source.objects.capabilities.max_concurrency)
        share = BESIDE_SMALL_SHARE if beside_small else 1
        self._most_streams = max(1, min(streams, int(share * limits.memory_bytes) // STREAM_BYTES))
        self._encrypted = source.objects.capabilities.encrypted
        self._waiting: deque[PlannedObject] = deque()
        self._open: list[Assembly] = []
        self._opening = 0
        self._opened = anyio.Event()
        self._all_taken = anyio.Event()
        self._damaged: list[Damaged] = []
        self._requests = RequestsInFlight()
        self._hedging = False

    async def receive(self, objects: Iterable[PlannedObject]) -> Sequence[Damaged]:
        """Publish every one of ``objects`` whose bytes are right, and return the others.

        Raises:
            ObjectNotFound, StoreError, LocalError: as ``download``.
        Cost: one request for each LONE_SEGMENT_BYTES or part, ``size`` bytes written and hashed, and read again as
            far as they came out of their order.
        """
        self._waiting.extend(objects)
        end = self._drop
        try:
            async with anyio.create_task_group() as group:
                await self._start_streams(group)
        except BaseException as error:
            if is_interruption(error):
                end = self._leave
            raise
        finally:
            with anyio.CancelScope(shield=True):
                for assembly in tuple(self._open):
                    with suppress(LocalError):  # the error that ended the transfer says more
                        await self._close(assembly, end)
        return self._damaged

    async def _start_streams(self, group: TaskGroup) -> None:
        """Start two streams for each processor (over TLS one), which suits a fast network; double them on a slow one.

        On two processors 1 GiB over loopback took 2 streams 1.05 and 32 streams 1.2 times as long as 4: they fight for
        the interpreter lock. Over TLS, where a thread takes it for every 16 KiB, 2 streams took 0.91 of the time of 4.
        """
        first = usable_cpus() * (1 if self._encrypted else 2)
        streams = 0
        while not self._all_taken.is_set():
            more = min(streams or first, self._most_streams - streams)
            for _ in range(more):
                group.start_soon(self._stream)
            streams += more
            if streams == self._most_streams:
                return
            await self._wait_for_slow(streams)

    async def _wait_for_slow(self, streams: int) -> None:
        """Return when ``streams`` are too few for the network, or every part is taken."""
        scaling = StreamScaling(streams, usable_cpus(), Moment.now(self._counters.bytes_received))
        while not self._all_taken.is_set():
            with anyio.move_on_after(LOOK_SECONDS):
                await self._all_taken.wait()
            if not self._all_taken.is_set() and scaling.observe(Moment.now(self._counters.bytes_received)):
                return

    async def _stream(self) -> None:
        assembly = await self._next()
        if assembly is None:
            return
        async with self._memory.share(STREAM_BYTES):
            block = memoryview(bytearray(ENCRYPTED_BLOCK_BYTES if self._encrypted else STREAM_BYTES))
            while assembly is not None:
                if assembly.has_missing:
                    await self._fetch_segment(assembly, block)
                await self._advance(assembly)
                assembly = await self._next()
            if not self._hedging:
                self._hedging = True
                while late := await self._requests.next_late():
                    await self._hedge(late, block)

    async def _next(self) -> Assembly | None:
        """The object with the fewest streams; None when every part is taken."""
        while True:
            started = [assembly for assembly in self._open if assembly.has_missing]
            if self._waiting and all(assembly.streams for assembly in started):
                if begun := await self._begin(self._waiting.popleft()):
                    return begun
                continue
            if started:
                return min(started, key=lambda assembly: assembly.streams)
            if not self._opening:
                self._all_taken.set()
                return None
            await self._opened.wait()

    async def _begin(self, planned: PlannedObject) -> Assembly | None:
        """Open an object's temporary; None if there is no space because the manifest's size is wrong."""
        self._opening += 1
        try:
            assembly = await anyio.to_thread.run_sync(self._open_assembly, planned)
        except NoSpace:
            actual = await self._source.object_size(planned.digest)
            if actual == planned.size:
                raise
            self._damaged.append(Damaged(planned, f"an object of {actual} bytes"))
            return None
        finally:
            self._opening -= 1
            self._opened.set()
            self._opened = anyio.Event()
        self._open.append(assembly)
        self._counters.bytes_done += assembly.written_bytes
        return assembly

    def _open_assembly(self, planned: PlannedObject) -> Assembly:
        size = planned.size or 0
        part_bytes = part_size(size, self._limits.part_bytes, self._source.objects.capabilities)
        descriptor = self._sink.open_temporary(planned)
        try:
            with local_errors(self._sink.temporaries):
                require_room(descriptor, size)
                return Assembly(planned, size, descriptor, part_bytes)
        except BaseException:
            os.close(descriptor)
            self._sink.drop(planned)
            raise

    async def _fetch_segment(self, assembly: Assembly, block: memoryview) -> None:
        """Fetch one segment of an object with one request."""
        parts = 1 if assembly.streams else LONE_SEGMENT_BYTES // assembly.part_bytes
        segment = assembly.take(max(1, parts))
        request = self._requests.begin(assembly, segment)
        block_sink = BlockSink(block, lambda data: self._write(request, data))
        try:
            with request.scope:
                await self._request(assembly, segment, block_sink)
                self._requests.arrived(request)
        except CorruptObject as error:
            await request.stop_hedge()
            self._counters.bytes_done -= request.written
            assembly.abandon(segment, error.actual)
        else:
            await request.stop_hedge()
            self._counters.bytes_done += segment.length - request.written
            assembly.finish(segment, request.written)
        finally:
            self._requests.end(request)

    async def _request(self, assembly: Assembly, segment: Segment, block_sink: BlockSink) -> None:
        try:
            await self._source.read_range_through(
                assembly.planned.digest,
                block_sink,
                start=segment.offset,
                length=segment.length,
                is_last=segment.offset + segment.length == assembly.planned.size,
            )
        except SnapdirError as error:
            error.add_note(f"while fetching {assembly.planned.path}")
            raise

    async def _hedge(self, late: HedgedRequest, block: memoryview) -> None:
        """Request the rest of a late segment again; the first request to end cancels the other.

        An error of the second request does not fail the transfer.
        """
        rest = late.assembly.rest_of(late.segment, late.written)

        def write(data: memoryview) -> None:
            late.write_hedge(rest, data, block_sink.consumed)
            self._counters.bytes_received += len(data)

        block_sink = BlockSink(block, write)
        with late.hedging(), suppress(SnapdirError, OSError):
            await self._request(late.assembly, rest, block_sink)
            late.scope.cancel()

    def _write(self, request: HedgedRequest, data: memoryview) -> None:
        with local_errors(self._sink.temporaries):
            request.write(data)
        self._counters.bytes_received += len(data)
        self._counters.bytes_done += len(data)

    async def _advance(self, assembly: Assembly) -> None:
        """Hash the parts that wait for it, and publish the object when all of it has been hashed."""
        while assembly.begin_hashing():
            await anyio.to_thread.run_sync(self._hash, assembly)
        if assembly not in self._open or not assembly.is_settled:
            return
        planned = assembly.planned
        if assembly.actual == planned.digest:
            await self._close(assembly, self._publish)
            self._counters.files_done += len(planned.targets)
            self._counters.objects_received += 1
        else:
            self._counters.bytes_done -= assembly.written_bytes
            self._damaged.append(Damaged(planned, assembly.actual))
            await self._close(assembly, self._forget)

    async def _close(self, assembly: Assembly, end: Callable[[Assembly], None]) -> None:
        self._open.remove(assembly)
        try:
            await anyio.to_thread.run_sync(end, assembly)
        finally:
            os.close(assembly.descriptor)

    def _hash(self, assembly: Assembly) -> None:
        with local_errors(self._sink.temporaries):
            assembly.hash_written(check_cancelled)

    def _publish(self, assembly: Assembly) -> None:
        try:
            with local_errors(self._sink.temporaries):
                assembly.cut_journal()
            self._sink.publish_temporary(assembly.planned, assembly.descriptor)
        except BaseException as error:
            if is_interruption(error):
                self._leave(assembly, is_cut=True)
            else:
                self._drop(assembly)
            raise

    def _forget(self, assembly: Assembly) -> None:
        """Remove wrong bytes, or at least keep later runs from resuming with them."""
        with local_errors(self._sink.temporaries):
            os.ftruncate(assembly.descriptor, 0)
        self._drop(assembly)

    def _leave(self, assembly: Assembly, *, is_cut: bool = False) -> None:
        """Leave the parts that have arrived to the next run; without any, remove the temporary."""
        with local_errors(self._sink.temporaries):
            if is_cut:
                assembly.restore_journal()
            noted_bytes = assembly.noted_bytes()
        if noted_bytes and self._sink.leave(assembly.planned):
            self._counters.keep(noted_bytes, self._sink.temporaries)
        else:
            self._drop(assembly)

    def _drop(self, assembly: Assembly) -> None:
        self._sink.drop(assembly.planned)
