"""A rate limit holds, and an adaptive one follows the rate that the store accepts."""

from __future__ import annotations

import asyncio
import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.stores.rate import (
    MIN_PER_SECOND,
    PERIOD_SECONDS,
    RATE_DECREASE_FACTOR,
    RATE_INCREASE_FACTOR,
    REFUSED_SHARE,
    AdaptiveRate,
    RateLimit,
)
from tests.stores.virtual_time import ManualClock, run_in_virtual_time


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=50), st.floats(1, 1000))
def test_a_limit_never_gives_more_than_its_rate_and_one_second(wishes: list[float], rate: float) -> None:
    async def run() -> None:
        clock = ManualClock()
        limit = RateLimit(rate, clock=clock, sleep=clock.sleep)
        began, given_before = clock.now, 0.0
        for wish in wishes:
            await limit.take(wish)
            assert given_before <= (clock.now - began + 1) * rate * 1.001 + 1e-6
            given_before += wish

    anyio.run(run)


async def test_a_request_larger_than_a_seconds_worth_passes_and_later_ones_wait() -> None:
    clock = ManualClock()
    limit = RateLimit(1000, clock=clock, sleep=clock.sleep)
    await limit.take(10_000)
    await limit.take()
    assert clock.now - 1000.0 == pytest.approx(9.0)


async def test_an_infinite_rate_never_waits() -> None:
    clock = ManualClock()
    limit = RateLimit(math.inf, clock=clock, sleep=clock.sleep)
    for _ in range(100):
        await limit.take(1e12)
    assert clock.now == 1000.0


def test_a_cancelled_wait_takes_nothing() -> None:
    async def run() -> float:
        clock = asyncio.get_running_loop().time
        limit = RateLimit(10.0, clock=clock)
        await limit.take(10)
        began = clock()
        waiting = [asyncio.ensure_future(limit.take()) for _ in range(6)]
        await asyncio.sleep(0.01)
        for cancelled in (1, 3, 5):
            waiting[cancelled].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await limit.take()
        return clock() - began

    assert run_in_virtual_time(run()) == pytest.approx(0.3, abs=0.02)


async def send(rate: AdaptiveRate, clock: ManualClock, seconds: float, *, per_second: int, refused: int = 0) -> None:
    """Send this many requests per second, if the rate allows; ``refused`` of each hundred are refused."""
    ends_at = clock.now + seconds
    number = 0
    while clock.now < ends_at:
        clock.now += 1 / per_second
        await rate.take()
        if number * refused // 100 != (number + 1) * refused // 100:
            rate.refused()
        number += 1


async def lowered(*, per_second: int = 1000, refused: int = 50) -> tuple[AdaptiveRate, ManualClock]:
    """A rate after its first step down."""
    clock = ManualClock()
    rate = AdaptiveRate(clock=clock, sleep=clock.sleep)
    while not rate.is_lowered:
        await send(rate, clock, 0.01, per_second=per_second, refused=refused)
    return rate, clock


async def test_a_store_that_refuses_a_few_requests_is_not_limited() -> None:
    clock = ManualClock()
    rate = AdaptiveRate(clock=clock, sleep=clock.sleep)
    await send(rate, clock, 60, per_second=1000, refused=int(100 * REFUSED_SHARE) - 1)
    assert rate.per_second == math.inf


async def test_a_store_that_refuses_many_requests_gets_a_little_less_than_it_took() -> None:
    rate, clock = await lowered(per_second=1000, refused=50)
    assert rate.per_second == pytest.approx(RATE_DECREASE_FACTOR * 500, rel=0.1)
    assert clock.now - 1000.0 == pytest.approx(PERIOD_SECONDS, rel=0.05)


async def test_a_lowered_rate_is_kept_to_and_grows_by_steps() -> None:
    rate, clock = await lowered()
    first = rate.per_second
    taken_from = clock.now
    for _ in range(int(first)):
        await rate.take()
    assert clock.now - taken_from == pytest.approx(1.0, rel=0.1)
    assert rate.per_second == pytest.approx(RATE_INCREASE_FACTOR * first)
    await send(rate, clock, PERIOD_SECONDS, per_second=100_000)
    assert rate.per_second == pytest.approx(RATE_INCREASE_FACTOR**2 * first)


async def test_refusals_of_requests_from_before_a_step_down_change_nothing() -> None:
    rate, clock = await lowered()
    lower = rate.per_second
    for _ in range(1000):
        rate.refused()
    await send(rate, clock, 4 * PERIOD_SECONDS, per_second=100_000)
    assert rate.per_second > lower


async def test_a_rate_that_holds_no_request_back_is_dropped() -> None:
    rate, clock = await lowered()
    await send(rate, clock, 6 * PERIOD_SECONDS, per_second=50)
    assert rate.per_second == math.inf


async def test_refusals_from_before_a_pause_do_not_count() -> None:
    clock = ManualClock()
    rate = AdaptiveRate(clock=clock, sleep=clock.sleep)
    await send(rate, clock, 0.9 * PERIOD_SECONDS, per_second=1000, refused=90)
    clock.now += 60
    await send(rate, clock, 4 * PERIOD_SECONDS, per_second=1000)
    assert rate.per_second == math.inf


async def test_a_store_that_refuses_everything_still_gets_a_few_requests() -> None:
    rate, clock = await lowered()
    await send(rate, clock, 10, per_second=1000, refused=100)
    assert rate.per_second == MIN_PER_SECOND


async def test_the_ceiling_holds_while_the_store_does_not_throttle_and_after_it_did() -> None:
    clock = ManualClock()
    rate = AdaptiveRate(100.0, clock=clock, sleep=clock.sleep)
    assert (rate.per_second, rate.is_lowered) == (100.0, False)
    await send(rate, clock, 5, per_second=1000, refused=50)
    assert rate.is_lowered
    await send(rate, clock, 60, per_second=1000)
    assert (rate.per_second, rate.is_lowered) == (100.0, False)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=300))
def test_whatever_the_store_refuses_every_request_gets_its_turn(fates: list[tuple[bool, float]]) -> None:
    async def run() -> None:
        clock = ManualClock()
        rate = AdaptiveRate(clock=clock, sleep=clock.sleep)
        refusals = 0
        for number, (is_refused, seconds) in enumerate(fates):
            before = clock.now
            await rate.take()
            assert clock.now - before <= 1 / MIN_PER_SECOND + 1e-6
            refusals += is_refused
            clock.now += seconds
            while refusals and number % 3 == 0:
                rate.refused()
                refusals -= 1
            assert rate.per_second >= MIN_PER_SECOND

    anyio.run(run)
