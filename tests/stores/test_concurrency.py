"""The number of requests in flight adapts, and every request gets its slot."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from snapdir.model.sizes import MIB
from snapdir.stores.concurrency import HOLD_SECONDS, REQUESTS_PER_STEP, ConcurrencyLimit
from tests.stores.virtual_time import ManualClock


async def rounds(
    concurrency: ConcurrencyLimit,
    clock: ManualClock,
    count: int,
    *,
    seconds_a_round: float,
    moved_bytes: int = 0,
    is_refused: bool = False,
) -> None:
    """As many requests at a time as the limit allows, and one that waits."""
    for _ in range(count):
        places = concurrency.limit
        for _ in range(places):
            await concurrency.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(concurrency.acquire)  # a request waits: the limit is reached
            await anyio.lowlevel.checkpoint()
            clock.now += seconds_a_round
            for _ in range(places):
                concurrency.release(moved_bytes, is_refused=is_refused)
        concurrency.release(moved_bytes, is_refused=is_refused)


async def test_the_limit_rises_while_that_adds_throughput() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    await rounds(concurrency, clock, 100, seconds_a_round=0.03)
    assert concurrency.limit == 256


async def test_the_limit_stays_where_a_higher_one_adds_no_throughput() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    for _ in range(60):
        await rounds(
            concurrency, clock, 1, seconds_a_round=concurrency.limit / 1000
        )  # 1,000 requests per second, come what may
    assert concurrency.limit <= 18


async def test_a_limit_that_is_never_reached_stays_as_it_is() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    for _ in range(1000):
        await concurrency.acquire()
        clock.now += 0.01
        concurrency.release()
    assert concurrency.limit == 8


async def test_throughput_is_bytes_and_not_requests() -> None:
    """Twice the requests in the same time are no faster when each moves half as much."""
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    for _ in range(60):
        places = concurrency.limit
        moved_bytes = 256 * MIB // places
        await rounds(concurrency, clock, 1, seconds_a_round=0.03, moved_bytes=moved_bytes)
    assert concurrency.limit <= 18


async def test_a_higher_limit_is_tried_again() -> None:
    """The first requests are quick, and too many for a store that takes 1,000 of them; those after it take long."""
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    for _ in range(60):
        await rounds(concurrency, clock, 1, seconds_a_round=concurrency.limit / 1000)
    assert concurrency.limit <= 18
    await rounds(concurrency, clock, 300, seconds_a_round=0.1)
    assert concurrency.limit == 256


async def test_a_step_that_adds_no_throughput_is_taken_back() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    limits = []
    for _ in range(20):
        await rounds(concurrency, clock, 1, seconds_a_round=concurrency.limit / 1000)
        limits.append(concurrency.limit)
    assert max(limits) == 12
    assert limits[-1] == 8


async def test_refused_requests_add_no_throughput() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    await rounds(concurrency, clock, REQUESTS_PER_STEP, seconds_a_round=1e-6, is_refused=True)
    assert concurrency.limit == 8
    await rounds(concurrency, clock, 100, seconds_a_round=0.03)
    assert concurrency.limit == 256


async def test_requests_get_slots_in_their_order() -> None:
    concurrency = ConcurrencyLimit(1)
    await concurrency.acquire()
    first = asyncio.ensure_future(concurrency.acquire())
    await anyio.wait_all_tasks_blocked()
    concurrency.release()
    with anyio.move_on_after(0):  # the place is promised to the first, who has not run yet
        await concurrency.acquire()
        raise AssertionError
    await first


async def test_a_share_of_the_useful_limit_leaves_room_for_others() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, share=0.5, clock=clock)
    for _ in range(60):
        await rounds(concurrency, clock, 1, seconds_a_round=concurrency.limit / 1000)
    assert concurrency.limit in (4, 6)  # half of the 8, or 12, that the first steps found useful
    for _ in range(10):
        clock.now += HOLD_SECONDS
        await rounds(concurrency, clock, 4 * REQUESTS_PER_STEP, seconds_a_round=concurrency.limit / 1000)
        assert concurrency.limit >= 4


async def test_a_share_of_the_maximum_is_kept_to_as_well() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(32, start=32, share=0.75, clock=clock)
    await rounds(concurrency, clock, 3 * REQUESTS_PER_STEP, seconds_a_round=0.03)
    assert concurrency.limit == 24


async def fail_in_flight(concurrency: ConcurrencyLimit, count: int) -> None:
    """Reach the limit; ``count`` requests lose their connections, the others get a response."""
    places = concurrency.limit
    for _ in range(places):
        await concurrency.acquire()
    for number in range(places):
        if number < count:
            concurrency.lost()
        concurrency.release()


async def test_lost_connections_halve_the_limit_down_to_a_few_requests() -> None:
    concurrency = ConcurrencyLimit(256, start=256, clock=ManualClock())
    limits = []
    for _ in range(8):
        await fail_in_flight(concurrency, concurrency.limit)
        limits.append(concurrency.limit)
    assert limits == [128, 64, 32, 16, 8, 8, 8, 8]
    narrow = ConcurrencyLimit(256, start=2, clock=ManualClock())
    for _ in range(10):
        await fail_in_flight(narrow, 2)
    assert narrow.limit == 2


@pytest.mark.parametrize(
    ("width", "lost", "left"),
    [
        (256, 20, 256),
        (256, 31, 256),
        (256, 32, 128),
        (256, 256, 128),
        (32, 3, 32),
        (32, 4, 16),
        (16, 3, 16),
        (16, 4, 8),
    ],
)
async def test_requests_that_were_in_flight_together_halve_the_limit_once(width: int, lost: int, left: int) -> None:
    concurrency = ConcurrencyLimit(width, start=width, clock=ManualClock())
    await fail_in_flight(concurrency, lost)
    assert concurrency.limit == left


async def test_a_step_in_which_something_else_holds_requests_back_does_not_count() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=8, clock=clock)
    await rounds(concurrency, clock, REQUESTS_PER_STEP, seconds_a_round=0.03)
    assert concurrency.limit == 12
    for _ in range(REQUESTS_PER_STEP):
        concurrency.disregard()
        await rounds(concurrency, clock, 1, seconds_a_round=3.0)
    assert concurrency.limit == 12
    await rounds(concurrency, clock, 2 * REQUESTS_PER_STEP, seconds_a_round=0.03)
    assert concurrency.limit > 12


async def test_a_lost_connection_now_and_then_leaves_the_limit_as_it_is() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(32, start=32, clock=clock)
    for _ in range(100):
        await rounds(concurrency, clock, 1, seconds_a_round=0.03)
        concurrency.lost()
    assert concurrency.limit == 32


async def test_a_halved_limit_rises_again_once_requests_get_responses() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(64, start=64, clock=clock)
    await rounds(concurrency, clock, 10, seconds_a_round=0.03)
    for _ in range(3):
        await fail_in_flight(concurrency, concurrency.limit)
    assert concurrency.limit == 8
    await rounds(concurrency, clock, int(HOLD_SECONDS / 0.03) - 1, seconds_a_round=0.03)
    assert concurrency.limit == 8, "so soon after failures"
    await rounds(concurrency, clock, 100, seconds_a_round=0.03)
    assert concurrency.limit == 64


async def test_a_halved_limit_keeps_to_its_share() -> None:
    clock = ManualClock()
    concurrency = ConcurrencyLimit(256, start=128, share=0.5, clock=clock)
    await rounds(concurrency, clock, REQUESTS_PER_STEP, seconds_a_round=0.03)
    for _ in range(3):
        await fail_in_flight(concurrency, concurrency.limit)
    narrowed = concurrency.limit
    for _ in range(1000):
        await rounds(concurrency, clock, 1, seconds_a_round=concurrency.limit / 1000)
    assert concurrency.limit <= narrowed


async def test_a_cancelled_wait_takes_no_slot() -> None:
    concurrency = ConcurrencyLimit(1)
    await concurrency.acquire()
    with anyio.move_on_after(0):
        await concurrency.acquire()
    concurrency.release()
    with anyio.fail_after(5):
        await concurrency.acquire()


@pytest.mark.parametrize("release_first", [False, True])
async def test_a_wait_cancelled_in_the_turn_of_a_release_leaves_the_slot_to_the_next(release_first: bool) -> None:
    """In either order: a cancelled waiter has not run again when its slot is passed on."""
    concurrency = ConcurrencyLimit(1)
    await concurrency.acquire()
    waiting = [asyncio.ensure_future(concurrency.acquire()) for _ in range(2)]
    await anyio.wait_all_tasks_blocked()
    if release_first:
        concurrency.release()
        waiting[0].cancel()
    else:
        waiting[0].cancel()
        concurrency.release()
    with anyio.fail_after(5):
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, type(None)]
        concurrency.release()
        await concurrency.acquire()
    blocked = asyncio.ensure_future(concurrency.acquire())
    await anyio.wait_all_tasks_blocked()
    assert not blocked.done()
    blocked.cancel()
