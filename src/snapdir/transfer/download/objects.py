"""Fetch objects from a repository into a sink, verified on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import SnapdirError
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import EMPTY_DIGEST
from snapdir.model.sizes import KIB
from snapdir.repository.repository import READ_ATTEMPTS, Repository
from snapdir.stores.workers import Channel, start_workers
from snapdir.transfer.download.local_objects import Mend, Unsound, copy_objects
from snapdir.transfer.download.object_sink import ObjectSink
from snapdir.transfer.download.streams import LargeObjects
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.loop_budget import LoopBudget
from snapdir.transfer.engine.planned_objects import PlannedObject, PlannedObjects, planned_objects
from snapdir.transfer.engine.true_size import with_true_size

LOOP_BYTES = 128 * KIB
LOOP_COPIES = 8
"""Larger or more files are always written in a thread: 128 KiB take 32 µs to hash, and 62 (tmpfs) or 107 (ext4) to
write."""

WRITE_SECONDS = 250e-6
"""The allowance of an object on the loop. To hash and write 16 KiB takes 28 µs (tmpfs) or 73 (ext4); in a thread,
which has to be given the interpreter lock again after each of the five system calls, it costs 60 more."""

WRITING_TASKS = 2
"""Batches of small objects being written in threads at once: more only contend for the interpreter lock."""

AGAIN_TASKS = 4
"""Objects that came damaged, fetched again at once."""

LINGER_SECONDS = 0.002
"""How long the first object of a batch waits for others: about 16 of them at 8,000 per second."""

Clock = Callable[[], float]


class Arrival(NamedTuple):
    """A small object that has arrived, not verified yet; it holds ``size`` bytes of the budget."""

    planned: PlannedObject
    size: int
    data: bytes


async def download(
    source: Repository,
    objects: Sequence[PlannedObject],
    sink: ObjectSink,
    *,
    limits: Limits,
    counters: Counters,
    mend: Mend | None = None,
    clock: Clock = time.perf_counter,
) -> None:
    """Put every object at all of its targets; each is fetched once and no byte gets a final name unverified.

    Args:
        mend: For a source on this host: fetches its damaged or missing objects, which are copied after the others.
        clock: Measures how long writing keeps the loop.

    Raises:
        ObjectNotFound, CorruptObject: the source lacks an object or holds other bytes under its name.
        StoreError, LocalError: the source or the destination fails.
    Cost: one request per object up to ``limits.large_bytes``, one per part above.
    Cancellation: stops within one block. The parts of large objects that came across a network stay for the next run;
        other temporaries are removed.
    """
    empty, rest = await anyio.to_thread.run_sync(_without_empty, objects)
    if empty:
        await anyio.to_thread.run_sync(_write_batch, empty, sink, counters)
    if rest and source.local_object(rest[0].digest) is not None:
        await _copy_local(source, rest, sink, counters, limits, mend=mend)
    elif rest:
        await _Download(source, sink, limits, counters, clock=clock).run(rest)


def _without_empty(objects: Sequence[PlannedObject]) -> tuple[list[Arrival], PlannedObjects]:
    """The empty object, if it is there, and the others."""
    empty, rest = planned_objects(objects).parted(lambda planned: planned.digest == EMPTY_DIGEST)
    return [Arrival(planned, 0, b"") for planned in empty], rest


async def _copy_local(
    source: Repository,
    objects: PlannedObjects,
    sink: ObjectSink,
    counters: Counters,
    limits: Limits,
    *,
    mend: Mend | None = None,
) -> None:
    unsound: list[Unsound] | None = None if mend is None else []
    await copy_objects(source, objects, sink, limits=limits, counters=counters, unsound=unsound)
    if mend is not None and unsound:
        again = [planned for planned, _ in unsound]
        await mend(again)
        await copy_objects(source, again, sink, limits=limits, counters=counters)


class _Download:
    """One download across a network: small objects whole, large ones by streams, all within one budget."""

    def __init__(
        self, source: Repository, sink: ObjectSink, limits: Limits, counters: Counters, *, clock: Clock
    ) -> None:
        self._source = source
        self._sink = sink
        self._limits = limits
        self._counters = counters
        self._memory = ByteBudget(limits.memory_bytes)
        self._loop_budget = LoopBudget(WRITE_SECONDS)
        self._clock = clock

    async def run(self, objects: PlannedObjects) -> None:
        limit = self._limits.large_bytes
        largest = self._source.objects.capabilities.max_object_bytes
        large, small = await anyio.to_thread.run_sync(
            objects.parted, lambda planned: planned.size is not None and limit < planned.size <= largest
        )
        arrivals = Channel[Arrival](2 * self._limits.batch_files)
        damaged = Channel[PlannedObject](len(objects))  # never full: see ``_write_arrivals``

        async def receive(planned: PlannedObject) -> None:
            if planned.size is None or planned.size > limit:
                await self._receive_verified(planned)
            else:
                await self._receive_small(planned, planned.size, arrivals)

        async def receive_large() -> None:
            for planned, _ in await self._large_objects(beside_small=bool(small)).receive(large):
                await self._receive_verified(planned)

        async with anyio.create_task_group() as again:
            start_workers(again, damaged, self._receive_verified, workers=AGAIN_TASKS)
            async with anyio.create_task_group() as writing:
                for _ in range(WRITING_TASKS):
                    writing.start_soon(self._write_arrivals, arrivals, damaged)
                async with anyio.create_task_group() as receiving:
                    workers = self._limits.workers(self._source.objects)
                    receiving.start_soon(receive_large)
                    start_workers(receiving, small, receive, workers=workers)
                arrivals.close()
            damaged.close()

    def _large_objects(self, *, beside_small: bool) -> LargeObjects:
        return LargeObjects(
            self._source, self._sink, self._limits, self._counters, memory=self._memory, beside_small=beside_small
        )

    async def _receive_small(self, planned: PlannedObject, size: int, arrivals: Channel[Arrival]) -> None:
        """Fetch an object, and hash and write it here while that is quick, otherwise in a thread, among others."""
        await self._memory.acquire(size)
        try:
            with _while_fetching(planned):
                arrival = Arrival(planned, size, await self._source.read_unverified(planned.digest, size))
            self._counters.bytes_received += size
            if not self._written_here(arrival):
                await arrivals.put(arrival)
                return
        except BaseException:
            self._memory.release(size)
            raise
        self._memory.release(size)
        self._counters.objects_received += 1

    def _written_here(self, arrival: Arrival) -> bool:
        """Hash and write an object on the loop; False if it needs a thread, or arrived damaged."""
        copies = len(arrival.planned.targets)
        if copies > LOOP_COPIES or arrival.size * copies > LOOP_BYTES or not self._loop_budget.admits():
            return False
        began = self._clock()
        is_right = digest_of(arrival.data) == arrival.planned.digest
        written = is_right and self._sink.write_quickly(arrival.planned, arrival.data)
        self._loop_budget.took(self._clock() - began)
        if written:
            _count_written(arrival, self._counters)
        return written

    async def _write_arrivals(self, arrivals: Channel[Arrival], damaged: Channel[PlannedObject]) -> None:
        """Write the arrivals, batch by batch, in a thread: a hop takes 113-129 µs for one object, 3 µs each for 64.

        Other tasks fetch damaged objects again: that waits for memory, which later arrivals may hold.
        """
        async for first in arrivals:
            # Without this pause most hops would carry one object.
            await anyio.sleep(LINGER_SECONDS)
            batch = [first, *arrivals.take_ready(self._limits.batch_files - 1)]
            try:
                wrong = await anyio.to_thread.run_sync(_write_batch, batch, self._sink, self._counters)
            finally:
                self._memory.release(sum(arrival.size for arrival in batch))
            self._counters.objects_received += len(batch) - len(wrong)
            for planned in wrong:
                await damaged.put(planned)

    async def _receive_verified(self, planned: PlannedObject) -> None:
        """Fetch one object on its own: large, of unknown size, or damaged on the way."""

        async def receive(size: int) -> None:
            if size > self._limits.large_bytes:
                await self._receive_alone(PlannedObject(planned.digest, size, planned.path, planned.targets))
                return
            async with self._memory.share(size):
                arrival = Arrival(planned, size, await self._source.read_object(planned.digest, size))
                await anyio.to_thread.run_sync(_write_batch, [arrival], self._sink, self._counters)
            self._counters.objects_received += 1

        with _while_fetching(planned):
            await with_true_size(self._source, planned, receive)

    async def _receive_alone(self, planned: PlannedObject) -> None:
        """Fetch a large object, again while it arrives damaged."""
        for _ in range(READ_ATTEMPTS - 1):
            damaged = await self._large_objects(beside_small=True).receive([planned])
            if not damaged:
                return
        raise self._source.damaged(planned.digest, damaged[0].actual)


def _write_batch(batch: list[Arrival], sink: ObjectSink, counters: Counters) -> list[PlannedObject]:
    """Write every arrival whose hash is right; the others are returned."""
    damaged = []
    for arrival in batch:
        if digest_of(arrival.data) == arrival.planned.digest:
            sink.write(arrival.planned, arrival.data)
            _count_written(arrival, counters)
        else:
            damaged.append(arrival.planned)
    return damaged


def _count_written(arrival: Arrival, counters: Counters) -> None:
    copies = len(arrival.planned.targets)
    counters.files_done += copies
    counters.bytes_done += len(arrival.data) * copies


@contextmanager
def _while_fetching(planned: PlannedObject) -> Iterator[None]:
    try:
        yield
    except SnapdirError as error:
        error.add_note(f"while fetching {planned.path}")
        raise
