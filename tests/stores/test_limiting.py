"""How hard a store is asked: the buckets hold, and what becomes of a request is told to its window and its pace."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from contextlib import suppress

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import ConnectionFailed, ObjectNotFound, StoreRefused, Throttled
from snapdir.stores.base import Body, ObjectInfo
from snapdir.stores.limiting import LimitingStore, TokenBucket
from snapdir.stores.memory import MemoryStore
from snapdir.stores.request_pace import RequestPace
from snapdir.stores.request_window import RequestWindow
from snapdir.testing.back_doors import Collecting
from tests.stores.virtual_time import ManualClock, run_in_virtual_time


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=50), st.floats(1, 1000))
def test_a_bucket_never_gives_more_than_its_rate_and_one_second(wishes: list[float], rate: float) -> None:
    async def run() -> None:
        clock = ManualClock()
        bucket = TokenBucket(rate, clock=clock, sleep=clock.sleep)
        began, given_before = clock.now, 0.0
        for wish in wishes:
            await bucket.take(wish)
            assert given_before <= (clock.now - began + 1) * rate * 1.001 + 1e-6
            given_before += wish

    anyio.run(run)


async def test_a_request_larger_than_a_seconds_worth_passes() -> None:
    clock = ManualClock()
    bucket = TokenBucket(1000, clock=clock, sleep=clock.sleep)
    await bucket.take(10_000)
    await bucket.take(1)
    assert clock.now - 1000.0 == pytest.approx(9.0)


async def test_no_more_requests_are_in_flight_than_the_window_is_wide() -> None:
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

    store = LimitingStore(Counting(), RequestWindow(3, start=3))
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(store.write, str(number), b"x")
    assert peak == 3


async def test_a_cancelled_wait_takes_no_tokens() -> None:
    bucket = TokenBucket(1.0)
    await bucket.take(1)
    await bucket.take(0.05)
    with anyio.move_on_after(0):
        await bucket.take(1e6)
    with anyio.fail_after(5):
        await bucket.take(1)


def test_requests_that_waited_for_their_place_keep_to_the_limit_afterwards() -> None:
    """Ten a second: also when a store that stood still answers again, and many wait."""

    class Stalling(MemoryStore):
        async def stat(self, key: str) -> ObjectInfo:
            began.append(clock())
            await asyncio.sleep(60.0 if len(began) <= 4 else 0.0)
            return ObjectInfo(key, 0)

    async def run() -> None:
        nonlocal clock
        clock = asyncio.get_running_loop().time
        store = LimitingStore(Stalling(), RequestWindow(4, clock=clock), requests_bucket=TokenBucket(10, clock=clock))
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(store.stat, str(number))

    began: list[float] = []
    clock = time.monotonic
    run_in_virtual_time(run())
    within_a_second = [sum(1 for other in began if 0 <= other - one < 1) for one in began]
    assert len(began) == 100
    assert max(within_a_second) <= 2 * 10 + 1  # a second's worth at once, a second's worth in time, and both ends


async def test_what_becomes_of_a_request_is_told_to_pace_and_window() -> None:
    told: list[str] = []

    class Pace(RequestPace):
        def sent(self) -> int:
            return 7

        def throttled(self, era: int) -> None:
            assert era == 7
            told.append("throttled")

    class Window(RequestWindow):
        def failed(self) -> None:
            told.append("failed")

        def release(self, moved_bytes: int = 0, *, is_refused: bool = False) -> None:
            told.append("refused" if is_refused else f"moved {moved_bytes}")
            super().release(moved_bytes, is_refused=is_refused)

    class Failing(MemoryStore):
        async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
            if not errors:
                await anyio.sleep_forever()
            raise errors[0]

    errors: list[Exception] = [ObjectNotFound("key"), Throttled("slow down"), ConnectionFailed("lost"), OSError("no")]
    store = LimitingStore(Failing(), Window(4), pace=Pace())
    while errors:
        with pytest.raises(type(errors[0])):
            await store.write("key", b"data")
        errors.pop(0)
    with anyio.move_on_after(0):
        await store.write("key", b"data")
    assert told == ["moved 0", "throttled", "refused", "failed", "moved 0", "moved 0", "moved 0"]
    del told[:]
    await LimitingStore(MemoryStore(), Window(4), pace=Pace()).write("key", b"data")
    assert told == ["moved 4"]


class Counted(RequestWindow):
    """Tells what each request moved."""

    def __init__(self) -> None:
        super().__init__(4)
        self.moved: list[int] = []

    def release(self, moved_bytes: int = 0, *, is_refused: bool = False) -> None:
        self.moved.append(moved_bytes)
        super().release(moved_bytes, is_refused=is_refused)


async def test_every_request_of_a_store_has_its_place_and_counts_what_it_moves() -> None:
    window = Counted()
    store = LimitingStore(MemoryStore({"key": b"0123456789", "other": b""}), window)

    async def moved_by(call: Awaitable[object]) -> list[int]:
        window.moved.clear()
        with suppress(StoreRefused):  # a store in memory copies nothing by itself
            await call
        return window.moved

    buffer = memoryview(bytearray(4))
    assert await moved_by(store.stat("key")) == [0]
    assert await moved_by(store.read("key")) == [0]  # how much it is, the store knows
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
    window.moved.clear()
    pages = [page async for page in store.list("")]
    assert window.moved == [0] * (len(pages) + 1)  # the end is asked for as well


async def test_bytes_wait_for_their_bucket() -> None:
    clock = ManualClock()
    bucket = TokenBucket(100, clock=clock, sleep=clock.sleep)
    store = LimitingStore(MemoryStore(), RequestWindow(4), bytes_bucket=bucket)
    for _ in range(5):
        await store.write("key", bytes(100))
    assert clock.now - 1000.0 == pytest.approx(3.0)  # a second's worth is there, and the last one may go into debt
    await store.stat("key")
    assert clock.now - 1000.0 == pytest.approx(3.0)


def test_small_requests_behind_a_large_one_keep_to_the_limit_of_requests() -> None:
    began: list[float] = []

    class Noting(MemoryStore):
        async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
            began.append(asyncio.get_running_loop().time())
            return await super().write(key, body, if_absent=if_absent)

    async def run() -> None:
        clock = asyncio.get_running_loop().time
        limits = {"bytes_bucket": TokenBucket(1000, clock=clock), "requests_bucket": TokenBucket(10, clock=clock)}
        store = LimitingStore(Noting(), RequestWindow(64, start=64, clock=clock), **limits)
        async with anyio.create_task_group() as group:
            group.start_soon(store.write, "large", bytes(20_000))
            for number in range(100):
                group.start_soon(store.write, str(number), b"x")

    run_in_virtual_time(run())
    within_a_second = [sum(1 for other in began if 0 <= other - one < 1) for one in began]
    assert max(within_a_second) <= 2 * 10 + 1


@pytest.mark.parametrize(("per_second", "disregarded"), [(math.inf, 0), (1000.0, 1)])
async def test_a_window_is_not_judged_by_requests_that_a_pace_holds_back(per_second: float, disregarded: int) -> None:
    class Noting(RequestWindow):
        disregarded = 0

        def disregard(self) -> None:
            self.disregarded += 1

    window, pace = Noting(4), RequestPace()
    pace.per_second = per_second
    await LimitingStore(MemoryStore(), window, pace=pace).write("key", b"x")
    assert window.disregarded == disregarded
