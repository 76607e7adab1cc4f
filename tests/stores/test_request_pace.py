"""A store that throttles is asked as fast as it takes requests: no faster, and not much slower.

Whole clients (retries, window, pace) ask servers that refuse for different reasons, in virtual time.
"""

from __future__ import annotations

import asyncio
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
from snapdir.stores.request_pace import LEAST_PER_SECOND, ROUND_REQUESTS, RequestPace, Round
from snapdir.stores.request_window import RequestWindow
from snapdir.stores.retrying import RetryingStore
from snapdir.stores.settings import RetryPolicy
from tests.stores.virtual_time import ManualClock, run_in_virtual_time

Refuses = Callable[[float], bool]
"""Whether a server refuses a request that arrives so many seconds after its start."""

NEAR_SECONDS = 0.0005
FAR_SECONDS = 0.03
SEEDS = range(3)


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


def between(begin: float, end: float, otherwise: Refuses) -> Refuses:
    """A server that refuses everything for a while."""
    return lambda now: begin <= now < end or otherwise(now)


class Server(MemoryStore):
    """Answers after ``seconds``, and refuses after ``refusal_seconds``."""

    def __init__(self, refuses: Refuses, seconds: float, refusal_seconds: float) -> None:
        super().__init__()
        self._refuses = refuses
        self._seconds = seconds
        self._refusal_seconds = refusal_seconds
        self._began = asyncio.get_running_loop().time()
        self.asked = self.throttled = 0

    async def stat(self, key: str) -> ObjectInfo:
        self.asked += 1
        await asyncio.sleep(self._refusal_seconds / 2)
        if self._refuses(asyncio.get_running_loop().time() - self._began):
            await asyncio.sleep(self._refusal_seconds / 2)
            self.throttled += 1
            raise Throttled("slow down", key=key)
        await asyncio.sleep(self._seconds - self._refusal_seconds / 2)
        return ObjectInfo(key, 0)


@dataclass
class Outcome:
    """What many clients got out of one server together."""

    per_second: float
    throttled_share: float
    failed: int


@dataclass(frozen=True)
class Load:
    """So many clients, each with so many requests at a time, for so long."""

    seconds: float
    clients: int = 1
    in_flight: int = 32
    answer_seconds: float = FAR_SECONDS
    refusal_seconds: float | None = None
    share: float = 1.0

    def put_on(self, refuses: Refuses) -> Outcome:
        return run_in_virtual_time(self._run(refuses))

    async def _run(self, refuses: Refuses) -> Outcome:
        passed = failed = 0

        async def ask(store: RetryingStore) -> None:
            nonlocal passed, failed
            while True:
                try:
                    await store.stat("key")
                    passed += 1
                except Throttled:
                    failed += 1

        clock = asyncio.get_running_loop().time
        server = Server(refuses, self.answer_seconds, self.refusal_seconds or self.answer_seconds)
        with anyio.move_on_after(self.seconds):
            async with anyio.create_task_group() as group:
                for number in range(self.clients):
                    store = client(server, RequestWindow(self.in_flight, share=self.share, clock=clock), seed=number)
                    for _ in range(2 * self.in_flight):
                        group.start_soon(ask, store)
        return Outcome(passed / self.seconds, server.throttled / server.asked, failed)


def client(server: Server, window: RequestWindow, *, seed: int) -> RetryingStore:
    clock = asyncio.get_running_loop().time
    limited = LimitingStore(server, window, pace=RequestPace(clock=clock))
    return RetryingStore(limited, RetryPolicy(), random=random.Random(seed).random, clock=clock)


@pytest.mark.parametrize(("share", "least"), [(0.001, 0.98), (0.01, 0.95), (0.05, 0.85), (0.1, 0.7), (0.15, 0.5)])
def test_refusals_that_do_not_depend_on_the_speed_cost_little_of_it(share: float, least: float) -> None:
    load = Load(seconds=20)
    outcomes = [load.put_on(some(share, seed)) for seed in SEEDS]
    full = load.in_flight / load.answer_seconds
    assert min(outcome.per_second for outcome in outcomes) > least * full
    assert sum(outcome.failed for outcome in outcomes) == 0


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
    if rate >= 100:  # in 20 seconds of a slower one, the way down from full speed is most of it
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


@pytest.mark.parametrize(("rate", "answer_seconds"), [(100, NEAR_SECONDS), (400, FAR_SECONDS), (3500, FAR_SECONDS)])
@pytest.mark.parametrize("clients", [8, 32])
def test_clients_of_one_limited_server_share_it_and_no_request_fails(
    clients: int, rate: float, answer_seconds: float
) -> None:
    load = Load(seconds=min(20, 15_000 / rate), clients=clients, answer_seconds=answer_seconds)
    outcome = load.put_on(above(rate, saved=rate / 4))
    assert outcome.per_second > 0.9 * rate
    assert outcome.throttled_share < 2 / 3
    assert outcome.failed == 0


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1])
def test_after_an_outage_of_a_second_the_speed_comes_back(share: float) -> None:
    load = Load(seconds=40)
    outcomes = [load.put_on(between(1.0, 2.0, some(share, seed))) for seed in SEEDS]
    full = load.in_flight / load.answer_seconds
    assert median(outcome.per_second for outcome in outcomes) > 0.5 * full


@pytest.mark.parametrize("idle_seconds", [0.0, 1.5, 60.0])
def test_a_pause_is_not_taken_for_a_slow_store(idle_seconds: float) -> None:
    """After it, a burst that is refused in part is judged by its own speed."""

    async def run() -> float:
        clock = asyncio.get_running_loop().time
        pace = RequestPace(clock=clock)
        pace.answered(await pace.turn())
        await asyncio.sleep(idle_seconds)
        turns = [await pace.turn() for _ in range(2 * ROUND_REQUESTS)]
        await asyncio.sleep(FAR_SECONDS)
        for number, turn in enumerate(turns):
            pace.answered(turn, throttled=number % 4 == 0)
        return pace.per_second

    assert run_in_virtual_time(run()) > 0.5 * ROUND_REQUESTS / FAR_SECONDS


@given(st.lists(st.tuples(st.sampled_from(["taken", "throttled", "lost"]), st.floats(0, 10)), max_size=300))
def test_whatever_becomes_of_requests_the_pace_stays_possible_and_each_gets_its_turn(
    fates: list[tuple[str, float]],
) -> None:
    async def run() -> None:
        clock = ManualClock()
        pace = RequestPace(clock=clock, sleep=clock.sleep)
        under_way = []
        for number, (fate, seconds) in enumerate(fates):
            before = clock.now
            under_way.append((await pace.turn(), fate))
            assert clock.now - before <= 1 / LEAST_PER_SECOND + 1e-6
            clock.now += seconds
            if number % 3 == 0:
                while under_way:
                    settle(pace, *under_way.pop())
            assert pace.per_second >= LEAST_PER_SECOND

    anyio.run(run)


def settle(pace: RequestPace, of_round: Round | None, fate: str) -> None:
    if fate == "lost":
        pace.unanswered(of_round)
    else:
        pace.answered(of_round, throttled=fate == "throttled")


async def throttle_a_round(pace: RequestPace, clock: ManualClock, seconds: float = 1.0) -> None:
    turns = [await pace.turn() for _ in range(ROUND_REQUESTS)]
    clock.now += seconds
    for of_round in turns:
        pace.answered(of_round, throttled=True)


async def test_a_pace_is_kept_to() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    await throttle_a_round(pace, clock)
    rate = pace.per_second
    assert rate < ROUND_REQUESTS
    await pace.turn()
    began = clock.now
    for _ in range(ROUND_REQUESTS):
        await pace.turn()
    assert (clock.now - began) * rate == pytest.approx(ROUND_REQUESTS, rel=0.05)


async def test_requests_of_before_a_change_do_not_change_the_pace_again() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    late = [await pace.turn() for _ in range(4 * ROUND_REQUESTS)]
    clock.now += 1.0
    for of_round in late[:ROUND_REQUESTS]:
        pace.answered(of_round, throttled=True)
    rate = pace.per_second
    for of_round in late[ROUND_REQUESTS:]:
        pace.answered(of_round, throttled=True)
    assert pace.per_second == rate < ROUND_REQUESTS * 4


async def test_requests_without_an_answer_leave_their_round() -> None:
    clock = ManualClock()
    pace = RequestPace(clock=clock, sleep=clock.sleep)
    for of_round in [await pace.turn() for _ in range(ROUND_REQUESTS)]:
        pace.unanswered(of_round)
    await throttle_a_round(pace, clock)
    assert pace.per_second < ROUND_REQUESTS


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
        await asyncio.sleep(0.01)
        for cancelled in (1, 3):
            waiting[cancelled].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return (clock() - began) * pace.per_second

    assert run_in_virtual_time(run()) == pytest.approx(2, abs=0.2)
