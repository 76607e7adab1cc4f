"""A store that throttles is asked as fast as it takes requests: no faster, and not much slower.

Whole clients (retries, window, pace) ask servers that refuse for different reasons, in virtual time.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import Throttled
from snapdir.stores.base import ObjectInfo
from snapdir.stores.limiting import LimitingStore
from snapdir.stores.memory import MemoryStore
from snapdir.stores.request_pace import (
    LEAST_PER_SECOND,
    PATIENT_SECONDS,
    PERIOD_SECONDS,
    QUICKER_SHARE,
    SLOWER,
    RequestPace,
)
from snapdir.stores.request_window import RequestWindow
from snapdir.stores.retrying import RetryingStore
from snapdir.stores.settings import DEFAULT_RETRY
from tests.stores.virtual_time import ManualClock, run_in_virtual_time

Refuses = Callable[[float], bool]
"""Whether a server refuses a request that arrives so many seconds after its start."""

NEAR_SECONDS = 0.0005
FAR_SECONDS = 0.03
SEEDS = range(3)
LONG = "long"


def some(share: float, seed: int) -> Refuses:
    """A server that refuses so many, however often it is asked."""
    drawn = random.Random(seed)
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


def either(one: Refuses, other: Refuses) -> Refuses:
    """A server with two reasons to refuse."""
    return lambda now: one(now) or other(now)


def between(begin: float, end: float, otherwise: Refuses) -> Refuses:
    """A server that refuses everything for a while."""
    return lambda now: begin <= now < end or otherwise(now)


def by_the_second(rate: int) -> Refuses:
    """A server that takes so many from the beginning of each second, and nothing for the rest of it."""
    second, left = -1, 0

    def refuses(now: float) -> bool:
        nonlocal second, left
        if int(now) != second:
            second, left = int(now), rate
        left -= 1
        return left < 0

    return refuses


class Server(MemoryStore):
    """Answers after ``seconds``, or ``long_seconds`` for the key LONG, and refuses after ``refusal_seconds``."""

    def __init__(self, refuses: Refuses, seconds: float, refusal_seconds: float, long_seconds: float = 0.0) -> None:
        super().__init__()
        self._refuses = refuses
        self._seconds = seconds
        self._refusal_seconds = refusal_seconds
        self._long_seconds = long_seconds
        self._began = asyncio.get_running_loop().time()
        self.asked = self.throttled = 0

    async def stat(self, key: str) -> ObjectInfo:
        self.asked += 1
        await asyncio.sleep(self._refusal_seconds / 2)
        if self._refuses(asyncio.get_running_loop().time() - self._began):
            await asyncio.sleep(self._refusal_seconds / 2)
            self.throttled += 1
            raise Throttled("slow down", key=key)
        taken_seconds = self._long_seconds if key == LONG else self._seconds
        await asyncio.sleep(taken_seconds - self._refusal_seconds / 2)
        return ObjectInfo(key, 0)


@dataclass
class Outcome:
    """What many clients got out of one server together."""

    passed: int
    per_second: float
    throttled_share: float
    failed: int


@dataclass(frozen=True)
class Load:
    """So many clients, each with so many requests at a time, for so long. Of 20, ``long`` take ``long_seconds``."""

    seconds: float
    clients: int = 1
    in_flight: int = 32
    answer_seconds: float = FAR_SECONDS
    refusal_seconds: float | None = None
    share: float = 1.0
    long: int = 0
    long_seconds: float = 0.0

    def put_on(self, refuses: Refuses) -> Outcome:
        return run_in_virtual_time(self._run(refuses))

    async def _run(self, refuses: Refuses) -> Outcome:
        passed = failed = 0

        async def ask(store: RetryingStore, drawn: random.Random) -> None:
            nonlocal passed, failed
            while True:
                try:
                    await store.stat(LONG if drawn.randrange(20) < self.long else "key")
                    passed += 1
                except Throttled:
                    failed += 1

        clock = asyncio.get_running_loop().time
        server = Server(refuses, self.answer_seconds, self.refusal_seconds or self.answer_seconds, self.long_seconds)
        with anyio.move_on_after(self.seconds):
            async with anyio.create_task_group() as group:
                for number in range(self.clients):
                    store = client(server, RequestWindow(self.in_flight, share=self.share, clock=clock), seed=number)
                    for _ in range(2 * self.in_flight):
                        group.start_soon(ask, store, random.Random(number))
        return Outcome(passed, passed / self.seconds, server.throttled / server.asked, failed)


def client(server: Server, window: RequestWindow, *, seed: int, pace: RequestPace | None = None) -> RetryingStore:
    clock = asyncio.get_running_loop().time
    limited = LimitingStore(server, window, pace=pace or RequestPace(clock=clock))
    return RetryingStore(limited, DEFAULT_RETRY, random=random.Random(seed).random, clock=clock)


@pytest.mark.parametrize(("share", "least"), [(0.001, 0.98), (0.01, 0.95), (0.05, 0.9), (0.1, 0.85), (0.15, 0.4)])
@pytest.mark.parametrize(("in_flight", "answer_seconds"), [(8, 0.1), (32, FAR_SECONDS), (32, 0.3)])
def test_refusals_that_do_not_depend_on_the_speed_cost_little_of_it(
    share: float, least: float, in_flight: int, answer_seconds: float
) -> None:
    load = Load(seconds=30, in_flight=in_flight, answer_seconds=answer_seconds)
    outcomes = [load.put_on(some(share, seed)) for seed in SEEDS]
    assert min(outcome.per_second for outcome in outcomes) > least * in_flight / answer_seconds
    assert sum(outcome.failed for outcome in outcomes) == 0


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_chance_makes_no_pace_for_few_requests_at_a_time(in_flight: int) -> None:
    load = Load(seconds=60, in_flight=in_flight)
    outcomes = [load.put_on(some(0.1, seed)) for seed in range(8)]
    assert min(outcome.per_second for outcome in outcomes) > 0.75 * in_flight / load.answer_seconds


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_a_limit_is_used_though_the_server_refuses_some_for_other_reasons(share: float) -> None:
    load = Load(seconds=60, in_flight=64)
    outcomes = [load.put_on(either(some(share, seed), above(100, saved=25))) for seed in SEEDS]
    assert min(outcome.per_second for outcome in outcomes) > 50


class NoPace(RequestPace):
    def throttled(self, step: int) -> None:
        del step


@pytest.mark.parametrize(("at_once", "pause_seconds"), [(64, 0.1), (1000, 0.3)])
def test_bursts_are_not_slowed_down_by_what_they_do_not_want(at_once: int, pause_seconds: float) -> None:
    async def run(pace_type: type[RequestPace]) -> int:
        clock = asyncio.get_running_loop().time
        server = Server(some(0.1, 1), FAR_SECONDS, FAR_SECONDS)
        store = client(server, RequestWindow(256, clock=clock), seed=1, pace=pace_type(clock=clock))
        with anyio.move_on_after(20):
            while True:
                async with anyio.create_task_group() as group:
                    for number in range(at_once):
                        group.start_soon(store.stat, str(number))
                await asyncio.sleep(pause_seconds)
        return server.asked

    assert run_in_virtual_time(run(RequestPace)) > 0.7 * run_in_virtual_time(run(NoPace))


def test_long_transfers_do_not_make_quick_refusals_look_many() -> None:
    load = Load(seconds=20, in_flight=64, answer_seconds=0.3, refusal_seconds=FAR_SECONDS)
    outcomes = [load.put_on(some(0.05, seed)) for seed in SEEDS]
    assert min(outcome.per_second for outcome in outcomes) > 0.6 * 64 / 0.3
    assert sum(outcome.failed for outcome in outcomes) == 0


@pytest.mark.parametrize("in_flight", [32, 256])
@pytest.mark.parametrize("answer_seconds", [NEAR_SECONDS, FAR_SECONDS])
@pytest.mark.parametrize("rate", [20, 100, 400, 3500])
def test_a_limited_server_is_used_to_its_limit_and_no_request_fails(
    rate: float, answer_seconds: float, in_flight: int
) -> None:
    load = Load(seconds=min(20, 25_000 / rate), in_flight=in_flight, answer_seconds=answer_seconds)
    outcome = load.put_on(above(rate, saved=rate / 4))
    assert outcome.per_second > 0.9 * min(rate, in_flight / answer_seconds)
    assert outcome.failed == 0
    if rate >= 400:  # in 20 seconds of a slower one, the way down from full speed is most of it
        assert outcome.throttled_share < 0.15


def test_a_client_that_leaves_others_room_uses_what_is_left_of_a_limit() -> None:
    load = Load(seconds=20, in_flight=64, share=0.8)
    outcome = load.put_on(above(400, saved=100))
    assert outcome.per_second > 0.9 * 400
    assert outcome.failed == 0


def test_a_limited_server_whose_answers_take_longer_than_its_refusals_is_used_to_its_limit() -> None:
    load = Load(seconds=20, in_flight=256, answer_seconds=0.3, refusal_seconds=FAR_SECONDS)
    outcome = load.put_on(above(100, saved=25))
    assert outcome.per_second > 90
    assert outcome.failed == 0


@pytest.mark.parametrize(("in_flight", "least"), [(32, 0.9), (256, 0.7)])
def test_a_server_that_counts_by_whole_seconds_is_used_nearly_to_its_limit(in_flight: int, least: float) -> None:
    outcome = Load(seconds=30, in_flight=in_flight).put_on(by_the_second(400))
    assert outcome.per_second > least * 400
    assert outcome.failed == 0


@pytest.mark.parametrize("long_seconds", [10.0, 60.0])
def test_a_limit_is_found_while_transfers_take_long(long_seconds: float) -> None:
    load = Load(seconds=120, in_flight=64, long=1, long_seconds=long_seconds)
    outcome = load.put_on(above(400, saved=100))
    assert outcome.throttled_share < 0.15
    assert outcome.failed == 0


@pytest.mark.parametrize(
    ("clients", "rate", "answer_seconds"),
    [
        (8, 100, NEAR_SECONDS),
        (8, 400, FAR_SECONDS),
        (8, 3500, FAR_SECONDS),
        (32, 400, FAR_SECONDS),
        (32, 3500, FAR_SECONDS),
    ],
)
def test_clients_of_one_limited_server_share_it(clients: int, rate: float, answer_seconds: float) -> None:
    load = Load(seconds=min(20, 15_000 / rate), clients=clients, answer_seconds=answer_seconds)
    outcome = load.put_on(above(rate, saved=rate / 4))
    assert outcome.per_second > 0.95 * rate
    assert outcome.throttled_share < 1 / 2
    assert outcome.failed == 0


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1])
def test_after_an_outage_of_a_second_the_speed_comes_back(share: float) -> None:
    load = Load(seconds=40)
    outcomes = [load.put_on(between(1.0, 2.0, some(share, seed))) for seed in SEEDS]
    full = load.in_flight / load.answer_seconds
    assert median(outcome.per_second for outcome in outcomes) > 0.5 * full


def test_after_an_outage_the_speed_comes_back_while_transfers_take_long() -> None:
    load = Load(seconds=60, in_flight=64, long=1, long_seconds=10.0)
    undisturbed = load.put_on(some(0.0, seed=1))
    assert load.put_on(between(5.0, 8.0, some(0.0, seed=1))).passed > 0.7 * undisturbed.passed


@pytest.mark.parametrize("in_flight", [1, 32, 256])
def test_a_store_that_refuses_everything_is_given_up_soon(in_flight: int) -> None:
    async def run() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        store = client(Server(lambda _: True, FAR_SECONDS, FAR_SECONDS), RequestWindow(in_flight, clock=clock), seed=1)

        async def ask_all() -> None:
            async with anyio.create_task_group() as group:
                for number in range(2 * in_flight):
                    group.start_soon(store.stat, str(number))

        with pytest.raises(ExceptionGroup):
            await ask_all()
        return clock() - began

    assert run_in_virtual_time(run()) < 20


def test_a_store_that_refuses_some_keys_for_ever_is_given_up_in_time() -> None:
    async def run() -> float:
        class SomeKeys(Server):
            async def stat(self, key: str) -> ObjectInfo:
                if int(key) % 8 < 3:
                    raise Throttled("slow down", key=key)
                return await super().stat(key)

        clock = asyncio.get_running_loop().time
        began = clock()
        store = client(SomeKeys(some(0, 1), FAR_SECONDS, FAR_SECONDS), RequestWindow(32, clock=clock), seed=1)

        async def ask_all() -> None:
            async with anyio.create_task_group() as group:
                for worker in range(64):
                    group.start_soon(ask_for, store, range(worker, 2000, 64))

        with pytest.raises(ExceptionGroup):
            await ask_all()
        return clock() - began

    async def ask_for(store: RetryingStore, numbers: range) -> None:
        for number in numbers:
            await store.stat(str(number))

    assert run_in_virtual_time(run()) < 60


@pytest.mark.parametrize("idle_seconds", [0.0, 1.5, 60.0])
def test_a_pause_is_not_taken_for_a_slow_store(idle_seconds: float) -> None:
    """After it, a burst that is refused in part is judged by its own speed."""

    async def run() -> float:
        pace = RequestPace(clock=asyncio.get_running_loop().time)
        pace.sent()
        await asyncio.sleep(idle_seconds)
        for number in itertools.count():
            step = pace.sent()
            if pace.per_second < math.inf:
                return pace.per_second
            if number % 4 == 0:
                pace.throttled(step)
            await asyncio.sleep(0.005)
        raise AssertionError

    assert run_in_virtual_time(run()) == pytest.approx(SLOWER * 150, rel=0.05)


def send(pace: RequestPace, clock: ManualClock, seconds: float, *, per_second: int, refused: int = 0) -> None:
    """So many requests a second, and of each hundred so many refused at once."""
    for number in range(int(seconds * per_second)):
        clock.now += 1 / per_second
        step = pace.sent()
        if number * refused // 100 != (number + 1) * refused // 100:
            pace.throttled(step)


def paced() -> tuple[RequestPace, ManualClock]:
    """A store that took 750 of 1,000 requests a second, and its pace since."""
    clock = ManualClock()
    pace = RequestPace(clock=clock)
    while pace.per_second == math.inf:
        send(pace, clock, 0.004, per_second=1000, refused=25)
    assert pace.per_second == pytest.approx(SLOWER * 750, rel=0.02)
    return pace, clock


def test_a_limit_is_come_back_to_in_small_steps() -> None:
    pace, clock = paced()
    slowest = pace.per_second
    while pace.per_second == slowest:
        send(pace, clock, 0.1, per_second=1000)
    assert pace.per_second == pytest.approx((1 + QUICKER_SHARE) * slowest)


def test_far_below_a_limit_the_pace_doubles() -> None:
    pace, clock = paced()
    send(pace, clock, 0.5, per_second=1000, refused=100)
    assert pace.per_second == LEAST_PER_SECOND
    while pace.per_second == LEAST_PER_SECOND:
        send(pace, clock, 0.1, per_second=16)
    assert pace.per_second == 2 * LEAST_PER_SECOND


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
        send(pace, clock, 0.1, per_second=int(min(pace.per_second, 1000)), refused=25)
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
    steps = [pace.sent() for _ in range(count)]
    clock.now += 1.0
    for step in steps:
        pace.throttled(step)
    return steps


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
    steps = refuse_all(pace, clock, 256)
    pace.sent()
    pace.per_second = 1000.0
    for step in steps:
        pace.throttled(step)
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
