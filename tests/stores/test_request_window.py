"""How many requests are in flight: the window adapts, and nobody waits in it for ever."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from snapdir.model.sizes import MIB
from snapdir.stores.request_window import HOLD_SECONDS, REQUESTS_A_LOOK, RequestWindow
from tests.stores.virtual_time import ManualClock


async def rounds(
    window: RequestWindow,
    clock: ManualClock,
    count: int,
    *,
    seconds_a_round: float,
    moved_bytes: int = 0,
    is_refused: bool = False,
) -> None:
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
                window.release(moved_bytes, is_refused=is_refused)
        window.release(moved_bytes, is_refused=is_refused)


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


async def test_a_window_that_is_never_full_stays_as_it_is() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    for _ in range(1000):
        await window.acquire()
        clock.now += 0.01
        window.release()
    assert window.limit == 8


async def test_what_matters_is_what_was_moved() -> None:
    """Twice the requests in the same time are no faster when each moves half as much."""
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    for _ in range(60):
        places = window.limit
        moved_bytes = 256 * MIB // places
        await rounds(window, clock, 1, seconds_a_round=0.03, moved_bytes=moved_bytes)
    assert window.limit <= 18


async def test_a_wider_window_is_tried_again() -> None:
    """The first requests are quick, and too many for a store that takes 1,000 of them; those after it take long."""
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    for _ in range(60):
        await rounds(window, clock, 1, seconds_a_round=window.limit / 1000)
    assert window.limit <= 18
    await rounds(window, clock, 300, seconds_a_round=0.1)
    assert window.limit == 256


async def test_a_step_that_did_not_pay_is_taken_back() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    limits = []
    for _ in range(20):
        await rounds(window, clock, 1, seconds_a_round=window.limit / 1000)
        limits.append(window.limit)
    assert max(limits) == 12
    assert limits[-1] == 8


async def test_refused_requests_say_nothing_of_how_fast_the_others_are() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    await rounds(window, clock, REQUESTS_A_LOOK, seconds_a_round=1e-6, is_refused=True)
    assert window.limit == 8
    await rounds(window, clock, 100, seconds_a_round=0.03)
    assert window.limit == 256


async def test_who_comes_later_waits_behind_those_who_wait() -> None:
    window = RequestWindow(1)
    await window.acquire()
    first = asyncio.ensure_future(window.acquire())
    await anyio.wait_all_tasks_blocked()
    window.release()
    with anyio.move_on_after(0):  # the place is promised to the first, who has not run yet
        await window.acquire()
        raise AssertionError
    await first


async def test_a_share_of_what_is_useful_leaves_room_for_others() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, share=0.5, clock=clock)
    for _ in range(60):
        await rounds(window, clock, 1, seconds_a_round=window.limit / 1000)
    assert window.limit in (4, 6)  # half of the 8, or 12, that the first steps found useful
    for _ in range(10):
        clock.now += HOLD_SECONDS
        await rounds(window, clock, 4 * REQUESTS_A_LOOK, seconds_a_round=window.limit / 1000)
        assert window.limit >= 4


async def test_a_share_of_the_widest_window_is_kept_to_as_well() -> None:
    clock = ManualClock()
    window = RequestWindow(32, start=32, share=0.75, clock=clock)
    await rounds(window, clock, 3 * REQUESTS_A_LOOK, seconds_a_round=0.03)
    assert window.limit == 24


async def fail_in_flight(window: RequestWindow, count: int) -> None:
    """Fill the window and lose so many of its requests; the others are answered."""
    places = window.limit
    for _ in range(places):
        await window.acquire()
    for number in range(places):
        if number < count:
            window.failed()
        window.release()


async def test_failures_of_a_share_of_the_window_halve_it_down_to_a_few_places() -> None:
    window = RequestWindow(256, start=256, clock=ManualClock())
    limits = []
    for _ in range(8):
        await fail_in_flight(window, window.limit)
        limits.append(window.limit)
    assert limits == [128, 64, 32, 16, 8, 8, 8, 8]
    narrow = RequestWindow(256, start=2, clock=ManualClock())
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
async def test_requests_that_were_in_flight_together_halve_the_window_once(width: int, lost: int, left: int) -> None:
    window = RequestWindow(width, start=width, clock=ManualClock())
    await fail_in_flight(window, lost)
    assert window.limit == left


async def test_what_is_seen_while_something_else_holds_requests_back_does_not_count() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=8, clock=clock)
    await rounds(window, clock, REQUESTS_A_LOOK, seconds_a_round=0.03)
    assert window.limit == 12
    for _ in range(REQUESTS_A_LOOK):
        window.disregard()
        await rounds(window, clock, 1, seconds_a_round=3.0)
    assert window.limit == 12
    await rounds(window, clock, 2 * REQUESTS_A_LOOK, seconds_a_round=0.03)
    assert window.limit > 12


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
    for _ in range(3):
        await fail_in_flight(window, window.limit)
    assert window.limit == 8
    await rounds(window, clock, int(HOLD_SECONDS / 0.03) - 1, seconds_a_round=0.03)
    assert window.limit == 8, "so soon after failures"
    await rounds(window, clock, 100, seconds_a_round=0.03)
    assert window.limit == 64


async def test_a_narrowed_window_keeps_to_its_share_of_what_is_left() -> None:
    clock = ManualClock()
    window = RequestWindow(256, start=128, share=0.5, clock=clock)
    await rounds(window, clock, REQUESTS_A_LOOK, seconds_a_round=0.03)
    for _ in range(3):
        await fail_in_flight(window, window.limit)
    narrowed = window.limit
    for _ in range(1000):
        await rounds(window, clock, 1, seconds_a_round=window.limit / 1000)
    assert window.limit <= narrowed


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
