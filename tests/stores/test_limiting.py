"""How hard a store is asked: the window adapts, the buckets hold, nothing waits for ever."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.stores.limiting import (
    FAILURES_TO_NARROW,
    HOLD_SECONDS,
    LEAST_NARROWED,
    LimitingStore,
    RequestWindow,
    TokenBucket,
)
from snapdir.stores.memory import MemoryStore


class ManualClock:
    """Time that moves when somebody sleeps, or when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def rounds(window: RequestWindow, clock: ManualClock, count: int, *, seconds_a_round: float) -> None:
    """Requests that always fill the window, a round of them taking so long."""
    for _ in range(count):
        places = window.limit
        for _ in range(places):
            await window.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(window.acquire)  # somebody waits: the window is full
            await anyio.lowlevel.checkpoint()
            clock.now += seconds_a_round
            for _ in range(places):
                window.release()
        window.release()


async def test_the_window_grows_while_a_wider_one_is_faster() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    await rounds(window, clock, 100, seconds_a_round=0.03)
    assert window.limit == 256


async def test_the_window_stays_where_a_wider_one_is_no_faster() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    for _ in range(60):
        await rounds(window, clock, 1, seconds_a_round=window.limit / 1000)  # 1,000 requests a second, come what may
    assert window.limit <= 18


async def test_a_share_of_what_is_useful_leaves_room_for_others() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, share=0.5, clock=clock)
    for _ in range(60):
        await rounds(window, clock, 1, seconds_a_round=window.limit / 1000)
    assert window.limit in (4, 6)  # half of the 8, or 12, that the first steps found useful


async def test_many_failures_halve_the_window_down_to_a_few_places() -> None:
    window = RequestWindow(256, start=32, clock=ManualClock())
    for _ in range(FAILURES_TO_NARROW - 1):
        window.failed()
    assert window.limit == 32
    window.failed()
    assert window.limit == 16
    for _ in range(10 * FAILURES_TO_NARROW):
        window.failed()
    assert window.limit == LEAST_NARROWED
    narrow = RequestWindow(256, start=2, clock=ManualClock())
    for _ in range(10 * FAILURES_TO_NARROW):
        narrow.failed()
    assert narrow.limit == 2


async def test_a_failure_now_and_then_leaves_the_window_as_it_is() -> None:
    clock = ManualClock()
    window = RequestWindow(32, start=32, clock=clock)
    for _ in range(100):
        await rounds(window, clock, 1, seconds_a_round=0.03)
        window.failed()
    assert window.limit == 32


async def test_once_requests_are_answered_again_a_narrowed_window_grows_back() -> None:
    clock = ManualClock()
    window = RequestWindow(64, start=64, clock=clock)
    await rounds(window, clock, 10, seconds_a_round=0.03)
    for _ in range(10 * FAILURES_TO_NARROW):
        window.failed()
    clock.now += HOLD_SECONDS
    await rounds(window, clock, 100, seconds_a_round=0.03)
    assert window.limit == 64


async def test_a_cancelled_wait_takes_no_place() -> None:
    window = RequestWindow(1)
    await window.acquire()
    with anyio.move_on_after(0):
        await window.acquire()
    window.release()
    with anyio.fail_after(5):
        await window.acquire()


@pytest.mark.parametrize("release_first", [False, True])
async def test_a_wait_cancelled_in_the_turn_of_a_release_leaves_the_place_to_the_next(release_first: bool) -> None:
    """Whichever comes first: the one whose wait is cancelled has not run again when the place is given on."""
    window = RequestWindow(1)
    await window.acquire()
    waiting = [asyncio.ensure_future(window.acquire()) for _ in range(2)]
    await anyio.wait_all_tasks_blocked()
    if release_first:
        window.release()
        waiting[0].cancel()
    else:
        waiting[0].cancel()
        window.release()
    with anyio.fail_after(5):
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, type(None)]
        window.release()
        await window.acquire()
    blocked = asyncio.ensure_future(window.acquire())
    await anyio.wait_all_tasks_blocked()
    assert not blocked.done()
    blocked.cancel()


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
