"""A store that throttles is asked as fast as it takes requests: no faster, and not much slower.

Whole clients (retries, window, pace) ask servers that refuse for different reasons, in virtual time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import ConnectionFailed, ObjectNotFound, Throttled
from snapdir.stores.base import ObjectInfo
from snapdir.stores.limiting import LimitingStore, RequestWindow
from snapdir.stores.memory import MemoryStore
from snapdir.stores.request_pace import LARGEST_STEP_DOWN, LEAST_PER_SECOND, ROUND_REQUESTS, RequestPace
from snapdir.stores.retrying import RetryingStore
from snapdir.stores.settings import RetryPolicy
from tests.stores.virtual_time import run_in_virtual_time

IN_FLIGHT = 32
TASKS = 64
FAR_SECONDS = 0.03

Refuses = Callable[[float], bool]
"""Whether a server refuses a request that arrives at this time."""


def some(share: float) -> Refuses:
    """A server that refuses so many, however often it is asked."""
    drawn = random.Random(1)
    return lambda _: drawn.random() < share


def above(rate: float, *, saved: float) -> Refuses:
    """A server that takes so many a second, and up to ``saved`` of those that nobody asked for before."""
    tokens, seen = saved, 0.0

    def refuses(now: float) -> bool:
        nonlocal tokens, seen
        tokens = min(saved, tokens + (now - seen) * rate)
        seen = now
        if tokens < 1:
            return True
        tokens -= 1
        return False

    return refuses


def between(begin: float, end: float) -> Refuses:
    """A server that refuses everything for a while."""
    return lambda now: begin <= now < end


class Server(MemoryStore):
    """Answers after ``seconds``, or refuses."""

    def __init__(self, refuses: Refuses, *, seconds: float) -> None:
        super().__init__()
        self._refuses = refuses
        self._seconds = seconds
        self._began = asyncio.get_running_loop().time()
        self.asked = self.throttled = 0

    async def stat(self, key: str) -> ObjectInfo:
        await asyncio.sleep(self._seconds)
        self.asked += 1
        if self._refuses(asyncio.get_running_loop().time() - self._began):
            self.throttled += 1
            raise Throttled("slow down", key=key)
        return ObjectInfo(key, 0)


@dataclass
class Outcome:
    """What many clients got out of one server together."""

    per_second: float
    throttled_share: float
    failed: int


async def ask(refuses: Refuses, requests: int, *, seconds: float, clients: int = 1) -> Outcome:
    server = Server(refuses, seconds=seconds)
    clock = asyncio.get_running_loop().time
    began, failed = clock(), 0

    async def task(store: RetryingStore, left: list[int]) -> None:
        nonlocal failed
        while left:
            try:
                await store.stat(f"{left.pop()}")
            except Throttled:
                failed += 1

    async with anyio.create_task_group() as group:
        for number in range(clients):
            limited = LimitingStore(server, RequestWindow(IN_FLIGHT, clock=clock), pace=RequestPace(clock=clock))
            drawn = random.Random(number)
            store = RetryingStore(limited, RetryPolicy(), random=drawn.random, clock=clock)
            left = list(range(requests // clients))
            for _ in range(TASKS):
                group.start_soon(task, store, left)
    return Outcome((requests - failed) / (clock() - began), server.throttled / server.asked, failed)


@pytest.mark.parametrize(
    ("share", "least_of_full_speed"), [(0.001, 0.9), (0.01, 0.8), (0.05, 0.7), (0.1, 0.3), (0.15, 0.2)]
)
def test_refusals_that_do_not_depend_on_the_speed_cost_little_of_it(share: float, least_of_full_speed: float) -> None:
    outcome = run_in_virtual_time(ask(some(share), 5000, seconds=FAR_SECONDS))
    assert outcome.per_second > least_of_full_speed * IN_FLIGHT / FAR_SECONDS
    assert outcome.failed == 0


@pytest.mark.parametrize("seconds", [0.0005, FAR_SECONDS])
@pytest.mark.parametrize("rate", [20, 100, 400, 3500])
def test_a_limited_server_is_used_to_its_limit_and_no_request_fails(rate: float, seconds: float) -> None:
    outcome = run_in_virtual_time(ask(above(rate, saved=rate / 4), int(20 * rate), seconds=seconds))
    assert outcome.per_second > 0.9 * min(rate, IN_FLIGHT / seconds)
    assert outcome.failed == 0
    if rate >= 100:  # in 20 seconds of a slower one, the way down from full speed is most of it
        assert outcome.throttled_share < 0.1


@pytest.mark.parametrize(("rate", "seconds"), [(100, 0.0005), (400, FAR_SECONDS), (3500, FAR_SECONDS)])
def test_clients_of_one_limited_server_leave_each_other_room(rate: float, seconds: float) -> None:
    outcome = run_in_virtual_time(ask(above(rate, saved=rate / 4), int(24 * rate), seconds=seconds, clients=8))
    assert outcome.per_second > 0.5 * rate
    assert outcome.failed == 0


def test_after_an_outage_of_a_second_the_speed_is_soon_what_it_was() -> None:
    outcome = run_in_virtual_time(ask(between(1.0, 2.0), 10_000, seconds=FAR_SECONDS))
    full_speed_seconds = 10_000 * FAR_SECONDS / IN_FLIGHT
    assert 10_000 / outcome.per_second < full_speed_seconds + 10
    assert outcome.failed == 0


class ManualClock:
    """Time that moves when somebody sleeps, or when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=300))
def test_whatever_is_answered_the_pace_stays_possible_and_every_request_gets_its_turn(
    answers: list[tuple[bool, float]],
) -> None:
    async def run() -> None:
        clock = ManualClock()
        pace = RequestPace(clock=clock, sleep=clock.sleep)
        for throttled, seconds in answers:
            before = clock.now
            of_round = await pace.turn()
            assert clock.now - before <= 1 / LEAST_PER_SECOND + 1e-6
            clock.now += seconds
            pace.answered(of_round, throttled=throttled)
            assert pace.per_second >= LEAST_PER_SECOND

    anyio.run(run)


async def test_a_pace_is_kept_to() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    sent = [await pace.turn() for _ in range(ROUND_REQUESTS)]
    clock.now += 1.0
    for of_round in sent:
        pace.answered(of_round, throttled=True)
    rate = pace.per_second
    assert rate == ROUND_REQUESTS / LARGEST_STEP_DOWN
    await pace.turn()
    began = clock.now
    for _ in range(ROUND_REQUESTS):
        await pace.turn()
    assert (clock.now - began) * rate == pytest.approx(ROUND_REQUESTS, rel=0.2)


async def throttle_a_round(pace: RequestPace) -> None:
    for of_round in [await pace.turn() for _ in range(ROUND_REQUESTS)]:
        pace.answered(of_round, throttled=True)


async def test_answers_to_requests_of_before_a_change_do_not_change_it_again() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    late = [await pace.turn() for _ in range(ROUND_REQUESTS)]
    await throttle_a_round(pace)
    rate = pace.per_second
    for of_round in late:
        pace.answered(of_round, throttled=True)
    assert pace.per_second == rate


def test_a_cancelled_wait_takes_no_turn() -> None:
    async def run() -> float:
        clock = asyncio.get_running_loop().time
        pace = RequestPace(clock=clock)
        sent = [await pace.turn() for _ in range(ROUND_REQUESTS)]
        await asyncio.sleep(1)
        for of_round in sent:
            pace.answered(of_round, throttled=True)
        began = clock()
        waiting = [asyncio.ensure_future(pace.turn()) for _ in range(5)]
        await asyncio.sleep(0.1)
        for cancelled in (1, 3):
            waiting[cancelled].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return (clock() - began) * pace.per_second

    assert run_in_virtual_time(run()) == pytest.approx(2, abs=0.05)


async def test_a_refusal_of_another_kind_is_an_answer_and_a_lost_connection_is_none() -> None:
    errors: list[Exception] = [ObjectNotFound("key"), ConnectionFailed("lost"), Throttled("slow down")]
    noted = []

    class Noting(RequestPace):
        def answered(self, of_round: int, *, throttled: bool = False) -> None:
            noted.append(throttled)

    class Failing(MemoryStore):
        async def stat(self, key: str) -> ObjectInfo:
            raise errors[0]

    store = LimitingStore(Failing(), RequestWindow(4), pace=Noting())
    while errors:
        with pytest.raises(type(errors[0])):
            await store.stat("key")
        errors.pop(0)
    assert noted == [False, True]
