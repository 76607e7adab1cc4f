"""The rules of a pace, one by one."""

from __future__ import annotations

import asyncio
import itertools
import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.stores.request_pace import (
    LEAST_PER_SECOND,
    PATIENT_SECONDS,
    PERIOD_SECONDS,
    QUICKER_SHARE,
    SLOWER,
    VAIN_ROUNDS,
    RequestPace,
)
from tests.stores.virtual_time import ManualClock, run_in_virtual_time


@pytest.mark.parametrize("idle_seconds", [0.0, 1.5, 60.0])
def test_a_pause_is_not_taken_for_a_slow_store(idle_seconds: float) -> None:
    """After it, a burst that is refused in part is judged by its own speed."""

    async def run() -> float:
        pace = RequestPace(clock=asyncio.get_running_loop().time)
        pace.sent()
        await asyncio.sleep(idle_seconds)
        for number in itertools.count():
            era = pace.sent()
            if pace.per_second < math.inf:
                return pace.per_second
            if number % 4 == 0:
                pace.throttled(era)
            await asyncio.sleep(0.005)
        raise AssertionError

    assert run_in_virtual_time(run()) == pytest.approx(SLOWER * 150, rel=0.05)


def send(pace: RequestPace, clock: ManualClock, seconds: float, *, per_second: int, refused: int = 0) -> None:
    """So many requests a second, and of each hundred so many refused at once."""
    for number in range(int(seconds * per_second)):
        clock.now += 1 / per_second
        era = pace.sent()
        if number * refused // 100 != (number + 1) * refused // 100:
            pace.throttled(era)


def paced() -> tuple[RequestPace, ManualClock]:
    """A store that took 750 of 1,000 requests a second, and its pace since."""
    clock = ManualClock()
    pace = RequestPace(clock=clock)
    while pace.per_second == math.inf:
        send(pace, clock, 0.004, per_second=1000, refused=25)
    assert pace.per_second == pytest.approx(SLOWER * 750, rel=0.02)
    return pace, clock


def send_until_it_changes(pace: RequestPace, clock: ManualClock, *, per_second: int) -> float:
    """By how much the pace changes, as a factor."""
    before = pace.per_second
    while pace.per_second == before:
        send(pace, clock, 0.1, per_second=per_second)
    return pace.per_second / before


def test_a_limit_is_come_back_to_in_small_steps() -> None:
    pace, clock = paced()
    assert send_until_it_changes(pace, clock, per_second=1000) == pytest.approx(1 + QUICKER_SHARE)


def test_after_another_step_down_the_steps_are_small_again() -> None:
    pace, clock = paced()
    while pace.per_second < 1000:
        send(pace, clock, 0.1, per_second=1000)
    while pace.per_second >= 1000:
        send(pace, clock, 0.004, per_second=1000, refused=25)
    assert send_until_it_changes(pace, clock, per_second=1000) == pytest.approx(1 + QUICKER_SHARE)


def test_after_a_pause_a_trial_begins_anew() -> None:
    pace, clock = paced()
    for _ in range(VAIN_ROUNDS - 1):
        send(pace, clock, 2 * PERIOD_SECONDS + 0.1, per_second=int(pace.per_second), refused=20)
    slower = pace.per_second
    clock.now += 60
    send(pace, clock, 4 * PERIOD_SECONDS, per_second=int(slower), refused=20)
    assert pace.per_second < slower


def test_a_trial_ends_when_the_pace_is_not_slower_any_more() -> None:
    pace, clock = paced()
    while pace.per_second < 1000:
        send(pace, clock, 0.1, per_second=1000)
    while pace.per_second >= 1000:
        send(pace, clock, 0.1, per_second=1000, refused=12)
    for _ in range(10 * VAIN_ROUNDS):
        before = pace.per_second
        send(pace, clock, 0.1, per_second=1000, refused=8)
        assert pace.per_second >= before


def test_refusals_of_what_was_sent_before_a_stall_are_not_held_against_what_comes_after() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock)
    eras = [pace.sent() for _ in range(64)]
    clock.now += 3.0
    for era in eras:
        pace.throttled(era)
        pace.sent()
        clock.now += 0.004
    assert pace.per_second == math.inf


def test_far_below_a_limit_the_pace_doubles() -> None:
    pace, clock = paced()
    send(pace, clock, 0.5, per_second=1000, refused=100)
    assert pace.per_second == LEAST_PER_SECOND
    assert send_until_it_changes(pace, clock, per_second=16) == 2


def test_a_pace_that_nobody_needs_is_dropped() -> None:
    pace, clock = paced()
    send(pace, clock, 3 * PERIOD_SECONDS, per_second=50)
    assert pace.per_second == math.inf


def test_when_slower_leaves_as_many_refused_the_speed_from_before_comes_back() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock)
    paces = []
    while not (paces and pace.per_second > paces[-1]):
        paces.append(pace.per_second)
        per_second = int(min(pace.per_second, 1000))
        send(pace, clock, 20 / per_second, per_second=per_second, refused=25)
    assert paces[0] == math.inf
    assert paces[-1] < 200
    assert pace.per_second == pytest.approx(1000, rel=0.02)
    send(pace, clock, PATIENT_SECONDS / 2, per_second=1000, refused=25)
    assert pace.per_second >= 1000, "it was found out that this does not matter"
    send(pace, clock, 1.0, per_second=1000, refused=90)
    assert pace.per_second < 1000, "but this does"


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=300))
def test_whatever_becomes_of_requests_the_pace_stays_possible_and_each_gets_its_turn(
    fates: list[tuple[bool, float]],
) -> None:
    async def run() -> None:
        clock = ManualClock()
        pace = RequestPace(clock=clock, sleep=clock.sleep)
        refused = []
        for number, (is_throttled, seconds) in enumerate(fates):
            before = clock.now
            await pace.turn()
            assert clock.now - before <= 1 / LEAST_PER_SECOND + 1e-6
            refused += [pace.sent()] * is_throttled
            clock.now += seconds
            while refused and number % 3 == 0:
                pace.throttled(refused.pop())
            assert pace.per_second >= LEAST_PER_SECOND

    anyio.run(run)


def refuse_all(pace: RequestPace, clock: ManualClock, count: int = 64) -> list[int]:
    eras = [pace.sent() for _ in range(count)]
    clock.now += 1.0
    for era in eras:
        pace.throttled(era)
    return eras


async def test_a_pace_is_kept_to() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    refuse_all(pace, clock)
    rate = pace.per_second
    assert rate < 64
    await pace.turn()
    began = clock.now
    for _ in range(8):
        await pace.turn()
    assert (clock.now - began) * rate == pytest.approx(8, rel=0.06)


async def test_refusals_of_requests_from_before_a_step_down_change_nothing() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    eras = refuse_all(pace, clock, 256)
    pace.sent()
    pace.per_second = 1000.0
    for era in eras:
        pace.throttled(era)
    assert pace.per_second == 1000.0


def test_a_cancelled_wait_takes_no_turn() -> None:
    async def run() -> float:
        clock = asyncio.get_running_loop().time
        pace = RequestPace(clock=clock)
        pace.per_second = 10.0
        await pace.turn()
        began = clock()
        waiting = [asyncio.ensure_future(pace.turn()) for _ in range(5)]
        await asyncio.sleep(0.01)
        for cancelled in (1, 3):
            waiting[cancelled].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return clock() - began

    assert run_in_virtual_time(run()) == pytest.approx(0.3, abs=0.02)
