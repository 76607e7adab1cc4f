"""Measure a store and this host: request rates and throughput by concurrency, hashing, the disk."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import anyio.to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from snapdir.disk.system import usable_cpus
from snapdir.errors import InvalidResponse, StoreError, ungrouped
from snapdir.measurement.advice import advise
from snapdir.measurement.host import disk_write_rate, hash_rate
from snapdir.measurement.report import BenchReport, HostRates, Measurement, Operation
from snapdir.measurement.schedule import Clock, Kind, Schedule
from snapdir.measurement.scratch import CLEANUP_SECONDS, Scratch, scratch_in
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Store, Upload, first_page
from snapdir.transfer.engine.limits import MAX_HASH_THREADS, Limits

Work = Callable[[int], Awaitable[object]]

DEFAULT_LIMITS = Limits()
SETTLE_SECONDS = 15.0
"""How long a cancelled measurement waits for the writes in flight."""
SMALL_BYTES = 16 * KIB
SMALL_CONCURRENCIES = (1, 8, 32, 128)
LARGE_CONCURRENCIES = (1, 2, 4, 8, 16, 32)

ALL_WORK: Mapping[Kind, int] = {
    "small": 4 * len(SMALL_CONCURRENCIES),
    "large": 2 * len(LARGE_CONCURRENCIES),
    "hash": 2,
    "disk": 1,
}
"""The pieces of work that share the time."""
SMALL_KEYS = 2048
"""Small objects, written again and again: more than are in flight, two pages of a listing, soon deleted."""
RANGES = 8
"""Most parts of the object from which ranges are read."""
PROBE_BYTES = MIB
SLOW_PART_BYTES = MIB
"""Part size on a line where even one part of the default size would take too long."""
SLOW_PART_SHARE = 0.05
"""A line is slow if one part would take this fraction of the whole time."""
IN_FLIGHT_SLOTS = 2
"""A concurrency is left out if its first requests alone would take this many times its slot."""
PATIENCE_SLOTS, PATIENCE_SECONDS = 3.0, 5.0
"""Requests without a response after this many slots, and at least this many seconds, are dropped."""


async def measure_store(
    store: Store,
    *,
    seconds: float = 30.0,
    directory: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_phase: Callable[[str], None] = lambda _name: None,
    clock: Clock = time.monotonic,
) -> BenchReport:
    """Measure ``store`` and this host, and name the limits of a transfer between them.

    All objects go below a prefix of ``.bench/`` and a random name, and are removed at the end, also after an error or a
    cancellation. (A store with versions keeps theirs.)

    Args:
        seconds: For all measurements, without the last requests and the clean-up. On a slow line high concurrencies
            are left out, and parts are smaller.
        directory: Where the disk is measured; default: the directory for temporary files.
        limits: The part size and the memory of a transfer.
        on_phase: Called with the name of each phase.

    Raises:
        StoreError: the store fails.
        LocalError: ``directory`` cannot be written.
    Cost: at most 256 MiB + 2,048 small objects in the store at a time; the transfer's memory + 10 MiB; 1 GiB or a
        tenth of what is free in ``directory``.
    """
    started = clock()
    directory = directory or tempfile.gettempdir()
    schedule = Schedule(seconds, ALL_WORK, clock)
    content = await anyio.to_thread.run_sync(os.urandom, max(limits.part_bytes, PROBE_BYTES))
    async with scratch_in(store) as scratch:
        bench = _StoreBench(store, scratch, memoryview(content), seconds, schedule, clock, limits)
        with ungrouped(f"bench {store.url}"):
            slow = await bench.probe()  # a store that fails does so before any wait
            on_phase("measuring hash and disk")
            host = await _measure_host(directory, content, schedule, clock)
            await _measure_requests(bench, slow, on_phase)
        on_phase("cleaning up")
    measurements = tuple(bench.measurements)
    advice = advise(measurements, host, memory_bytes=limits.memory_bytes)
    return BenchReport(store.url, clock() - started, measurements, host, advice, scratch.leftover)


async def _measure_requests(bench: _StoreBench, slow: bool, on_phase: Callable[[str], None]) -> None:
    for operation in ("put", "get", "head", "list"):
        on_phase(f"measuring small objects: {operation.upper()}")
        await bench.small(operation)
    if slow:
        bench.part_bytes = min(bench.part_bytes, SLOW_PART_BYTES)
    on_phase("measuring large objects: upload")
    await bench.upload()
    on_phase("measuring large objects: download")
    await bench.download()


async def _measure_host(directory: str, content: bytes, schedule: Schedule, clock: Clock) -> HostRates:
    cpus = min(usable_cpus(), MAX_HASH_THREADS)
    return HostRates(
        cpus=cpus,
        hash_bytes_per_second=await hash_rate(content, threads=1, seconds=schedule.slot("hash"), clock=clock),
        hash_all_cpus_bytes_per_second=await hash_rate(
            content, threads=cpus, seconds=schedule.slot("hash"), clock=clock
        ),
        disk_write_bytes_per_second=await disk_write_rate(
            directory, content, seconds=schedule.slot("disk"), clock=clock
        ),
    )


@dataclass(slots=True)
class _StoreBench:
    """The requests, and the measurements so far.

    Attributes:
        content: Of objects and parts: random, so that it cannot be compressed.
        written: Small objects that are in the store.
    """

    store: Store
    scratch: Scratch
    content: memoryview
    seconds: float
    schedule: Schedule
    clock: Clock
    limits: Limits
    measurements: list[Measurement] = field(default_factory=list)
    written: int = 0
    part_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.part_bytes = self.limits.part_bytes

    async def probe(self) -> bool:
        """Write one small and one larger object, without a time limit; whether the line is slow."""
        await self.store.write(self._small_key(0), self.content[:SMALL_BYTES])
        self.written = 1
        self.scratch.used = True
        started = self.clock()
        await self.store.write(self.scratch.key("probe"), self.content[:PROBE_BYTES])
        part_seconds = (self.clock() - started) * self.part_bytes / PROBE_BYTES
        return part_seconds > self.seconds * SLOW_PART_SHARE

    async def small(self, operation: Operation) -> None:
        """One kind of small request at every concurrency."""
        work = {"put": self._put, "get": self._get, "head": self._head, "list": self._list}[operation]
        size = SMALL_BYTES if operation in ("put", "get") else 0
        for concurrency in SMALL_CONCURRENCIES:
            seconds = self.schedule.slot("small")
            if seconds and operation == "put":
                await self._drive(operation, work, concurrency, size, 0.0)  # connections are opened here
            if seconds:
                self._note(await self._drive(operation, work, concurrency, size, seconds))

    async def upload(self) -> None:
        """Parts of an upload that is dropped at the end; whole objects if parts are too small for the store."""
        if self.part_bytes < self.store.capabilities.part_size_range[0]:
            await self._large("upload", self._write_whole)
            return
        parts = max(LARGE_CONCURRENCIES)
        body = self.content[: self.part_bytes]
        upload = await self.store.begin_upload(
            self.scratch.key("upload"), size=parts * self.part_bytes, part_bytes=self.part_bytes
        )
        try:
            await self._large("upload", lambda number: upload.write_part(number % parts + 1, body))
        finally:
            await _drop(upload)

    async def download(self) -> None:
        """Ranges of one object, again and again, into as many buffers as fit into a transfer's memory."""
        ranges = await self._write_ranged()
        room = max(1, self.limits.memory_bytes // self.part_bytes)
        buffers = [bytearray(self.part_bytes) for _ in range(min(room, max(LARGE_CONCURRENCIES)))]

        async def read(number: int) -> None:
            # Requests may share a buffer: its content is not used, and memory stays bounded.
            buffer = memoryview(buffers[number % len(buffers)])
            start = number % ranges * self.part_bytes
            received = await self.store.read_into(self.scratch.key("ranged"), buffer, start=start)
            _check("ranged", received, self.part_bytes)

        await self._large("download", read)

    async def _write_ranged(self) -> int:
        """Write the object from which ranges are read; its number of ranges, fewer on a slow line."""
        rates = [measured.bytes_per_second for measured in self.measurements if measured.operation == "upload"]
        affordable = max(rates, default=0.0) * self.seconds * SLOW_PART_SHARE / self.part_bytes
        ranges = max(1, min(RANGES, int(affordable)))
        body = self.content[: self.part_bytes]
        key = self.scratch.key("ranged")
        if ranges == 1:
            await self.store.write(key, body)
            return 1
        upload = await self.store.begin_upload(key, size=ranges * self.part_bytes, part_bytes=self.part_bytes)
        try:
            async with anyio.create_task_group() as group:
                for number in range(ranges):
                    group.start_soon(upload.write_part, number + 1, body)
            await upload.commit()
        except BaseException:
            await _drop(upload)
            raise
        return ranges

    async def _large(self, operation: Operation, work: Work) -> None:
        best = 0.0
        for concurrency in LARGE_CONCURRENCIES:
            seconds = self.schedule.slot("large")
            too_slow = best and concurrency * self.part_bytes > IN_FLIGHT_SLOTS * seconds * best
            if seconds and not too_slow:
                measured = await self._drive(operation, work, concurrency, self.part_bytes, seconds)
                best = max(best, measured.bytes_per_second)
                self._note(measured)

    async def _drive(
        self, operation: Operation, work: Work, concurrency: int, request_bytes: int, seconds: float
    ) -> Measurement:
        """Keep ``concurrency`` requests in flight for ``seconds``, at least one each, and wait for the last ones."""
        numbers = count()
        patience_seconds = max(PATIENCE_SLOTS * seconds, PATIENCE_SECONDS)
        cpu_before = time.process_time()
        started = self.clock()
        ended: list[float] = []
        with anyio.move_on_after(patience_seconds):
            async with anyio.create_task_group() as group:
                for _ in range(concurrency):
                    group.start_soon(self._repeat, work, numbers, started + seconds, ended)
        took_seconds = max(ended, default=started) - started
        return Measurement(
            operation, concurrency, request_bytes, len(ended), took_seconds, time.process_time() - cpu_before
        )

    async def _repeat(self, work: Work, numbers: Iterator[int], deadline: float, ended: list[float]) -> None:
        now = deadline - 1
        while now < deadline:
            await checkpoint_if_cancelled()
            await work(next(numbers))
            now = self.clock()
            ended.append(now)

    def _note(self, measured: Measurement) -> None:
        if measured.requests:
            self.measurements.append(measured)

    def _small_key(self, number: int) -> str:
        return self.scratch.key(f"small-{number % SMALL_KEYS:04}")

    async def _put(self, number: int) -> None:
        await self._write(self._small_key(number), self.content[:SMALL_BYTES])
        self.written = max(self.written, number % SMALL_KEYS + 1)

    async def _get(self, number: int) -> None:
        key = self._small_key(number % self.written)
        _check(key, len(await self.store.read(key, length=SMALL_BYTES)), SMALL_BYTES)

    async def _head(self, number: int) -> None:
        key = self._small_key(number % self.written)
        _check(key, (await self.store.stat(key)).size, SMALL_BYTES)

    async def _list(self, _number: int) -> None:
        await first_page(self.store, self.scratch.prefix)

    async def _write_whole(self, number: int) -> None:
        await self._write(self.scratch.key(f"large-{number % RANGES}"), self.content[: self.part_bytes])

    async def _write(self, key: str, body: memoryview) -> None:
        """Write, and finish also when cancelled: a server may complete a cancelled write after the clean-up."""
        with anyio.move_on_after(SETTLE_SECONDS, shield=True) as scope:
            await self.store.write(key, body)
        if scope.cancelled_caught:
            await anyio.sleep_forever()  # no response: not counted, and dropped when the time of _drive ends


async def _drop(upload: Upload) -> None:
    """Abort the upload, also when cancelled. If that fails, closing the store tries again."""
    with anyio.move_on_after(CLEANUP_SECONDS, shield=True), suppress(StoreError):
        await upload.abort()


def _check(key: str, received: int, expected: int) -> None:
    """Count only right responses.

    Raises:
        InvalidResponse: the store did not give the written bytes.
    """
    if received != expected:
        raise InvalidResponse(f"{key}: {received} bytes, but {expected} were written", key=key)
