"""Bring large objects to a landing: a number of streams, spread over the objects, and never a whole part in memory.

A stream receives a block, hashes and writes it while it is in the processor's cache, and goes on. Each object has one
stream, which brings it from its beginning, while there are objects enough; else more streams bring later parts of it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread

from snapdir.errors import CorruptObject, local_errors
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.blocks import BlockSink
from snapdir.transfer.assembly import Assembly, Segment
from snapdir.transfer.events import Counters
from snapdir.transfer.landing import Landing
from snapdir.transfer.limits import Limits
from snapdir.transfer.parts import part_size
from snapdir.transfer.plan import Wanted
from snapdir.transfer.stages import Budget

if TYPE_CHECKING:
    from anyio.abc import TaskGroup  # at run time it brings sockets and TLS: 25 ms

__all__ = ["Damaged", "LargeObjects"]

MOST_STREAMS = 32
"""Requests for large objects in flight: 2.5 GB/s where a connection to S3 gives 80 MB/s."""

LOOK_SECONDS = 0.015
IDLE_SHARE = 0.5
"""While so much of the processors' time is left, the network is what is waited for, and streams are doubled."""

BLOCK_BYTES = 4 * MIB
LONE_SEGMENT_BYTES = 32 * MIB
"""What one request brings of an object that has no other stream; with others it is a part."""


class Damaged(NamedTuple):
    """An object that was not placed: its bytes hash to ``actual``, or that says what is wrong with them."""

    one: Wanted
    actual: str


class LargeObjects:
    """Brings objects of known size within one transfer's memory: a block a stream."""

    def __init__(
        self, source: Repository, landing: Landing, limits: Limits, counters: Counters, *, memory: Budget
    ) -> None:
        self._source = source
        self._landing = landing
        self._limits = limits
        self._counters = counters
        self._memory = memory
        self._most_streams = limits.jobs or min(MOST_STREAMS, source.objects.capabilities.max_concurrency)
        self._waiting: deque[Wanted] = deque()
        self._open: list[Assembly] = []
        self._opening = 0
        self._opened = anyio.Event()
        self._damaged: list[Damaged] = []

    async def receive(self, wanted: Iterable[Wanted]) -> Sequence[Damaged]:
        """Place every object of ``wanted``, and return those whose bytes are wrong, or too few: they are not placed.

        Raises:
            ObjectNotFound, StoreError, LocalError: as ``download``.
        Cost: one request for each LONE_SEGMENT_BYTES or part, ``size`` bytes written and hashed, and read again as
            far as they came out of their order.
        """
        self._waiting.extend(wanted)
        try:
            async with anyio.create_task_group() as group:
                await self._start_streams(group)
        finally:
            with anyio.CancelScope(shield=True):
                for assembly in tuple(self._open):
                    await self._close(assembly, self._drop)
        return self._damaged

    async def _start_streams(self, group: TaskGroup) -> None:
        """Two streams a processor, which is the best where the network is faster; more while it is not.

        1 GiB over loopback took 4 streams 0.74 s and 32 streams 0.88: they fight for the interpreter lock.
        """
        processors = len(os.sched_getaffinity(0))
        streams, more = 0, 2 * processors
        while True:
            for _ in range(min(more, self._most_streams - streams)):
                group.start_soon(self._stream)
                streams += 1
            more, began, worked = 0, time.monotonic(), time.process_time()
            await anyio.sleep(LOOK_SECONDS)
            if streams == self._most_streams or not self._has_work:
                return
            if time.process_time() - worked < (1 - IDLE_SHARE) * processors * (time.monotonic() - began):
                more = streams

    @property
    def _has_work(self) -> bool:
        return bool(self._waiting or self._opening) or any(assembly.has_missing for assembly in self._open)

    async def _stream(self) -> None:
        assembly = await self._next()
        if assembly is None:
            return
        async with self._memory.share(BLOCK_BYTES):
            block = memoryview(bytearray(BLOCK_BYTES))
            while assembly is not None:
                if assembly.has_missing:
                    await self._bring(assembly, block)
                await self._advance(assembly)
                assembly = await self._next()

    async def _next(self) -> Assembly | None:
        """The object that is served worst; None where every part is taken."""
        while True:
            started = [assembly for assembly in self._open if assembly.has_missing]
            if self._waiting and all(assembly.streams for assembly in started):
                return await self._begin(self._waiting.popleft())
            if started:
                return min(started, key=lambda assembly: assembly.streams)
            if not self._opening:
                return None
            await self._opened.wait()

    async def _begin(self, one: Wanted) -> Assembly:
        self._opening += 1
        try:
            assembly = await anyio.to_thread.run_sync(self._open_assembly, one)
        finally:
            self._opening -= 1
            self._opened.set()
            self._opened = anyio.Event()
        self._open.append(assembly)
        self._counters.bytes_done += assembly.resumed_bytes
        return assembly

    def _open_assembly(self, one: Wanted) -> Assembly:
        size = one.size or 0
        part_bytes = part_size(size, self._limits.part_bytes, self._source.objects.capabilities)
        descriptor = self._landing.open_temporary(one)
        try:
            with local_errors(self._landing.temporaries):
                return Assembly(one, size, descriptor, part_bytes)
        except BaseException:
            os.close(descriptor)
            self._landing.drop(one)
            raise

    async def _bring(self, assembly: Assembly, block: memoryview) -> None:
        """One segment of an object, by one request."""
        parts = 1 if assembly.streams else LONE_SEGMENT_BYTES // assembly.part_bytes
        segment = assembly.take(max(1, parts))
        sink = BlockSink(block, lambda data: self._write(assembly, segment, data, sink.consumed))
        try:
            await self._source.read_range_through(
                assembly.one.digest, sink, start=segment.offset, length=segment.length
            )
        except CorruptObject as error:
            self._counters.bytes_done -= sink.consumed
            assembly.abandon(segment, error.actual)
        except BaseException as error:
            error.add_note(f"while fetching {assembly.one.path}")
            raise
        else:
            assembly.finish(segment)

    def _write(self, assembly: Assembly, segment: Segment, data: memoryview, done: int) -> None:
        with local_errors(self._landing.temporaries):
            assembly.write(segment, data, done)
        self._counters.bytes_received += len(data)
        self._counters.bytes_done += len(data)

    async def _advance(self, assembly: Assembly) -> None:
        """Hash what waits for it, and place the object once all of it has been."""
        while assembly.begin_hashing():
            await anyio.to_thread.run_sync(assembly.hash_written)
        if assembly not in self._open or not assembly.is_settled:
            return
        one = assembly.one
        if assembly.actual == one.digest:
            await self._close(assembly, self._place)
            self._counters.files_done += len(one.targets)
            self._counters.objects_received += 1
        else:
            self._counters.bytes_done -= assembly.size
            self._damaged.append(Damaged(one, assembly.actual))
            await self._close(assembly, self._forget)

    async def _close(self, assembly: Assembly, end: Callable[[Assembly], None]) -> None:
        self._open.remove(assembly)
        try:
            await anyio.to_thread.run_sync(end, assembly)
        finally:
            os.close(assembly.descriptor)

    def _place(self, assembly: Assembly) -> None:
        with local_errors(self._landing.temporaries):
            assembly.cut_journal()
        self._landing.place_temporary(assembly.one, assembly.descriptor)

    def _forget(self, assembly: Assembly) -> None:
        """Remove wrong bytes, or at least let no later run go on with them."""
        os.ftruncate(assembly.descriptor, 0)
        self._drop(assembly)

    def _drop(self, assembly: Assembly) -> None:
        self._landing.drop(assembly.one)
