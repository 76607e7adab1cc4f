"""Every request of a remote store is limited, and the limits learn its outcome."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from contextlib import suppress

import anyio
import pytest

from snapdir.errors import (
    ConnectionFailed,
    ObjectNotFound,
    StoreRefused,
    Throttled,
)
from snapdir.model.sizes import MIB
from snapdir.stores.base import Body
from snapdir.stores.blocks import BlockSink
from snapdir.stores.concurrency import ConcurrencyLimit
from snapdir.stores.memory import MemoryStore
from snapdir.stores.rate import AdaptiveRate, RateLimit
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
from snapdir.stores.settings import RetryPolicy
from snapdir.testing.back_doors import Collecting
from tests.stores.test_remote import CutStore
from tests.stores.virtual_time import ManualClock, run_in_virtual_time


async def test_no_more_requests_are_in_flight_than_the_limit() -> None:
    in_flight = peak = 0

    class Counting(MemoryStore):
        async def write(self, key: str, body: object, *, if_absent: bool = False) -> bool:
            nonlocal in_flight, peak
            in_flight += 1
            peak = max(peak, in_flight)
            try:
                return await super().write(key, body, if_absent=if_absent)
            finally:
                in_flight -= 1

    store = RemoteStore(Counting(), concurrency=ConcurrencyLimit(3, start=3))
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(store.write, str(number), b"x")
    assert peak == 3


class NotedConcurrency(ConcurrencyLimit):
    """Records the outcome of each request."""

    def __init__(self) -> None:
        super().__init__(4)
        self.notes: list[str | int] = []

    def disregard(self) -> None:
        self.notes.append("disregarded")

    def lost(self) -> None:
        self.notes.append("lost")

    def release(self, moved_bytes: int = 0, *, is_refused: bool = False) -> None:
        self.notes.append("refused" if is_refused else moved_bytes)
        super().release(moved_bytes, is_refused=is_refused)


class NotedRate(AdaptiveRate):
    """Counts refusals."""

    refusals = 0

    def refused(self) -> None:
        self.refusals += 1


async def test_the_limits_learn_what_becomes_of_a_request() -> None:
    class Failing(MemoryStore):
        async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
            if not errors:
                await anyio.sleep_forever()
            raise errors[0]

    errors: list[Exception] = [ObjectNotFound("key"), Throttled("slow down"), ConnectionFailed("lost"), OSError("no")]
    concurrency, rate = NotedConcurrency(), NotedRate()
    store = RemoteStore(Failing(), Retries(RetryPolicy(attempts=1)), concurrency=concurrency, rate=rate)
    while errors:
        with pytest.raises(type(errors[0])):
            await store.write("key", b"data")
        errors.pop(0)
    with anyio.move_on_after(0):
        await store.write("key", b"data")
    assert concurrency.notes == [0, "refused", "lost", 0, 0, 0]
    assert rate.refusals == 1


async def test_requests_that_a_lowered_rate_holds_back_tell_the_concurrency_nothing() -> None:
    concurrency, rate = NotedConcurrency(), AdaptiveRate()
    store = RemoteStore(MemoryStore(), concurrency=concurrency, rate=rate)
    await store.write("key", b"x")
    rate.per_second = 1000.0
    await store.write("key", b"x")
    assert concurrency.notes == [1, "disregarded", 1]


async def test_every_request_of_a_store_is_limited_by_what_it_moves() -> None:
    concurrency = NotedConcurrency()
    store = RemoteStore(MemoryStore({"key": b"0123456789", "other": b""}), concurrency=concurrency)

    async def moved_by(call: Awaitable[object]) -> list[str | int]:
        concurrency.notes.clear()
        with suppress(StoreRefused):  # a store in memory copies nothing by itself
            await call
        return concurrency.notes

    buffer = memoryview(bytearray(4))
    assert await moved_by(store.stat("key")) == [0]
    assert await moved_by(store.read("key")) == [10]
    assert await moved_by(store.read("key", length=1 << 20)) == [10]  # an upper bound is not what moves
    assert await moved_by(store.read("key", start=1, length=3)) == [3]
    assert await moved_by(store.read_into("key", buffer, start=2)) == [4]
    assert await moved_by(store.read_through("key", Collecting(), start=0, length=5)) == [5]
    assert await moved_by(store.write("new", b"123456")) == [6]
    assert await moved_by(store.copy_from("copy", "key")) == [0]
    assert await moved_by(store.delete(["other"])) == [0]
    upload = await store.begin_upload("large", size=4, part_bytes=2)
    assert await moved_by(upload.copy_part(1, "key", start=0, length=2)) == [0]
    assert await moved_by(upload.write_part(1, b"ab")) == [2]
    assert await moved_by(upload.write_part(2, b"cd")) == [2]
    assert await moved_by(upload.commit()) == [0]
    assert await moved_by(store.begin_upload("none", size=2, part_bytes=2)) == [0]
    assert await moved_by((await store.begin_upload("none", size=2, part_bytes=2)).abort()) == [0]
    concurrency.notes.clear()
    pages = [page async for page in store.list("")]
    assert concurrency.notes == [0] * (len(pages) + 1)  # the end takes a request too


async def test_a_retry_is_limited_by_what_is_left_of_the_body() -> None:
    concurrency = NotedConcurrency()
    retries = Retries(sleep=ManualClock().sleep)
    store = RemoteStore(CutStore({"key": b"0123456789"}), retries, concurrency=concurrency)
    await store.read_into("key", memoryview(bytearray(7)), start=0)
    assert [note for note in concurrency.notes if note] == ["lost", "lost", 1]


async def test_bytes_wait_for_their_rate() -> None:
    clock = ManualClock()
    store = RemoteStore(MemoryStore(), byte_rate=RateLimit(100, clock=clock, sleep=clock.sleep))
    for _ in range(5):
        await store.write("key", bytes(100))
    assert clock.now - 1000.0 == pytest.approx(3.0)  # one second's worth is saved, and the last write goes into debt
    await store.stat("key")
    assert clock.now - 1000.0 == pytest.approx(3.0)


async def test_reading_a_short_object_of_unknown_length_leaves_the_rate_to_others() -> None:
    clock = ManualClock()
    store = RemoteStore(MemoryStore({"key": b"0123456789"}), byte_rate=RateLimit(100, clock=clock, sleep=clock.sleep))
    for _ in range(10):
        await store.read("key", length=1 << 20)
    await store.read("key")
    await store.stat("key")
    assert clock.now == 1000.0  # 110 bytes are a second's worth and a little debt
    await store.read("key", length=10)
    assert clock.now - 1000.0 == pytest.approx(0.1)


@pytest.mark.parametrize("length", [0, 1, 3 * MIB, 10 * MIB, 10 * MIB + 1])
async def test_a_long_read_keeps_to_a_rate_of_bytes_all_the_time(length: int) -> None:
    class Timed(MemoryStore):
        async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
            requests.append((clock.now - 1000.0, start, length))
            await super().read_through(key, sink, start=start, length=length)

    clock, requests = ManualClock(), list[tuple[float, int, int]]()
    store = RemoteStore(Timed({"key": bytes(10 * MIB)}), byte_rate=RateLimit(2 * MIB, clock=clock, sleep=clock.sleep))
    sink = Collecting()
    await store.read_through("key", sink, start=0, length=length)
    assert sink.consumed == min(length, 10 * MIB)
    assert sum(asked for _, _, asked in requests) == length
    asked_before = 0
    for seconds, start, asked in requests:
        assert (start, asked < 2 * MIB) == (asked_before, True)
        assert start <= (seconds + 1) * 2 * MIB, "a second's worth is saved, and a request passes when no debt is left"
        asked_before += asked


async def test_a_long_read_without_a_rate_is_one_request() -> None:
    concurrency = NotedConcurrency()
    store = RemoteStore(MemoryStore({"key": bytes(10 * MIB)}), concurrency=concurrency)
    await store.read_through("key", Collecting(), start=0, length=10 * MIB)
    assert concurrency.notes == [10 * MIB]


class Noting(MemoryStore):
    """Notes when each request arrives. The first ``slow`` of them take a minute."""

    def __init__(self, slow: int = 0) -> None:
        super().__init__()
        self.arrived_at: list[float] = []
        self._slow = slow

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        self.arrived_at.append(asyncio.get_running_loop().time())
        if len(self.arrived_at) <= self._slow:
            await asyncio.sleep(60.0)
        return await super().write(key, body, if_absent=if_absent)

    def most_in_a_second(self) -> int:
        return max(sum(1 for later in self.arrived_at if 0 <= later - first < 1) for first in self.arrived_at)


@pytest.mark.parametrize(
    ("slow", "byte_rate", "concurrency"),
    [(4, math.inf, 4), (0, 1000.0, 64)],
    ids=["behind requests that get no response", "behind a large request"],
)
def test_requests_that_waited_for_another_limit_keep_to_the_highest_rate(
    slow: int, byte_rate: float, concurrency: int
) -> None:
    inner = Noting(slow)

    async def run() -> None:
        clock = asyncio.get_running_loop().time
        store = RemoteStore(
            inner,
            concurrency=ConcurrencyLimit(concurrency, start=concurrency, clock=clock),
            rate=AdaptiveRate(10.0, clock=clock),
            byte_rate=RateLimit(byte_rate, clock=clock),
        )
        async with anyio.create_task_group() as group:
            group.start_soon(store.write, "large", bytes(20_000))
            for number in range(100):
                group.start_soon(store.write, str(number), b"x")

    run_in_virtual_time(run())
    assert len(inner.arrived_at) == 101
    assert inner.most_in_a_second() <= 2 * 10 + 1  # a second's worth at once, a second's worth in time, and both ends
