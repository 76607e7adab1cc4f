"""A store that throttles gets requests about as fast as it accepts them."""

from __future__ import annotations

import asyncio
from statistics import median

import anyio
import pytest

from snapdir.errors import Throttled
from snapdir.stores.base import ObjectInfo
from snapdir.stores.concurrency import ConcurrencyLimit
from snapdir.stores.rate import AdaptiveRate
from snapdir.stores.remote import RemoteStore
from tests.stores.throttling_figures import figures
from tests.stores.throttling_servers import (
    FAR_SECONDS,
    NEAR_SECONDS,
    Load,
    Server,
    above,
    between,
    by_the_second,
    client,
    either,
    some,
)
from tests.stores.virtual_time import run_in_virtual_time

SEEDS = range(3)


def test_the_promised_figures_are_reached() -> None:
    missed = [figure for figure in figures() if not figure.is_reached]
    assert missed == []


@pytest.mark.parametrize(("share", "least"), [(0.01, 0.95), (0.1, 0.85), (0.15, 0.7)])
@pytest.mark.parametrize(("in_flight", "response_seconds"), [(8, 0.1), (32, 0.1)])
def test_refusals_that_do_not_depend_on_the_rate_cost_little_speed(
    share: float, least: float, in_flight: int, response_seconds: float
) -> None:
    load = Load(seconds=30, in_flight=in_flight, response_seconds=response_seconds)
    outcomes = [load.put_on(some(share, seed)) for seed in SEEDS]
    assert min(outcome.per_second for outcome in outcomes) > least * in_flight / response_seconds
    assert sum(outcome.failed for outcome in outcomes) == 0


@pytest.mark.parametrize(("in_flight", "least"), [(1, 0.5), (2, 0.7), (4, 0.8)])
def test_few_requests_at_a_time_keep_most_of_their_speed_when_a_tenth_is_refused(in_flight: int, least: float) -> None:
    load = Load(seconds=60, in_flight=in_flight)
    outcomes = [load.put_on(some(0.1, seed)) for seed in range(8)]
    assert median(outcome.per_second for outcome in outcomes) > least * in_flight / load.response_seconds


def test_a_limit_is_used_though_the_server_refuses_some_for_other_reasons() -> None:
    load = Load(seconds=60, in_flight=64)
    outcomes = [load.put_on(either(some(0.1, seed), above(100, saved=25))) for seed in SEEDS]
    assert min(outcome.per_second for outcome in outcomes) > 80


class Unlimited(AdaptiveRate):
    def refused(self) -> None:
        """Never lower the rate."""


@pytest.mark.parametrize(("at_once", "pause_seconds"), [(64, 0.1), (1000, 0.3)])
def test_bursts_are_not_slowed_down_by_a_rate_that_they_do_not_need(at_once: int, pause_seconds: float) -> None:
    async def run(rate_type: type[AdaptiveRate]) -> int:
        clock = asyncio.get_running_loop().time
        server = Server(some(0.1, 1), FAR_SECONDS, FAR_SECONDS)
        store = client(server, ConcurrencyLimit(256, clock=clock), seed=1, rate=rate_type(clock=clock))
        with anyio.move_on_after(20):
            while True:
                async with anyio.create_task_group() as group:
                    for number in range(at_once):
                        group.start_soon(store.stat, str(number))
                await asyncio.sleep(pause_seconds)
        return server.requests

    assert run_in_virtual_time(run(AdaptiveRate)) > 0.7 * run_in_virtual_time(run(Unlimited))


def test_long_transfers_do_not_make_quick_refusals_look_many() -> None:
    load = Load(seconds=20, in_flight=64, response_seconds=0.3, refusal_seconds=FAR_SECONDS)
    outcomes = [load.put_on(some(0.05, seed)) for seed in SEEDS]
    assert min(outcome.per_second for outcome in outcomes) > 0.6 * 64 / 0.3
    assert sum(outcome.failed for outcome in outcomes) == 0


@pytest.mark.parametrize(("in_flight", "response_seconds"), [(32, FAR_SECONDS), (256, NEAR_SECONDS)])
@pytest.mark.parametrize("rate", [20, 100, 400])
def test_a_limited_server_is_used_to_its_limit_and_no_call_fails(
    rate: float, response_seconds: float, in_flight: int
) -> None:
    load = Load(seconds=20, in_flight=in_flight, response_seconds=response_seconds)
    outcome = load.put_on(above(rate, saved=rate / 4))
    assert outcome.per_second > 0.9 * rate
    assert outcome.failed == 0
    if rate >= 400:  # in 20 seconds of a slower one, the way down from full speed is most of it
        assert outcome.throttled_share < 0.3


def test_a_client_that_leaves_others_room_uses_what_is_left_of_a_limit() -> None:
    load = Load(seconds=20, in_flight=64, share=0.8)
    outcome = load.put_on(above(400, saved=100))
    assert outcome.per_second > 0.9 * 400
    assert outcome.failed == 0


def test_a_limited_server_whose_answers_take_longer_than_its_refusals_is_used_to_its_limit() -> None:
    load = Load(seconds=20, in_flight=256, response_seconds=0.3, refusal_seconds=FAR_SECONDS)
    outcome = load.put_on(above(100, saved=25))
    assert outcome.per_second > 90
    assert outcome.failed == 0


@pytest.mark.parametrize(("in_flight", "least"), [(32, 0.9), (256, 0.7)])
def test_a_server_that_counts_by_whole_seconds_is_used_nearly_to_its_limit(in_flight: int, least: float) -> None:
    outcome = Load(seconds=30, in_flight=in_flight).put_on(by_the_second(400))
    assert outcome.per_second > least * 400
    assert outcome.failed == 0


def test_a_limit_is_found_while_transfers_take_long() -> None:
    load = Load(seconds=120, in_flight=64, long=1, long_seconds=10.0)
    outcome = load.put_on(above(400, saved=100))
    assert outcome.throttled_share < 0.2
    assert outcome.failed == 0


@pytest.mark.parametrize(
    ("clients", "rate", "response_seconds"),
    [
        (8, 100, NEAR_SECONDS),
        (8, 400, FAR_SECONDS),
        (8, 3500, FAR_SECONDS),
    ],
)
def test_clients_of_one_limited_server_use_all_of_it(clients: int, rate: float, response_seconds: float) -> None:
    load = Load(seconds=min(20, 15_000 / rate), clients=clients, response_seconds=response_seconds)
    outcome = load.put_on(above(rate, saved=rate / 4))
    assert outcome.per_second > 0.95 * rate
    assert outcome.failed == 0


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_after_an_outage_of_a_second_the_speed_comes_back(share: float) -> None:
    load = Load(seconds=40)
    outcomes = [load.put_on(between(1.0, 2.0, some(share, seed))) for seed in SEEDS]
    full = load.in_flight / load.response_seconds
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
        store = client(
            Server(lambda _: True, FAR_SECONDS, FAR_SECONDS), ConcurrencyLimit(in_flight, clock=clock), seed=1
        )

        async def call_all() -> None:
            async with anyio.create_task_group() as group:
                for number in range(2 * in_flight):
                    group.start_soon(store.stat, str(number))

        with pytest.raises(ExceptionGroup):
            await call_all()
        return clock() - began

    assert run_in_virtual_time(run()) < 20


def test_a_store_that_refuses_some_keys_for_ever_is_given_up_in_time() -> None:
    async def run() -> float:
        class SomeKeys(Server):
            """Refuses the same keys for ever."""

            async def stat(self, key: str) -> ObjectInfo:
                if int(key) % 8 < 3:
                    raise Throttled("slow down", key=key)
                return await super().stat(key)

        clock = asyncio.get_running_loop().time
        began = clock()
        store = client(SomeKeys(some(0, 1), FAR_SECONDS, FAR_SECONDS), ConcurrencyLimit(32, clock=clock), seed=1)

        async def call_all() -> None:
            async with anyio.create_task_group() as group:
                for worker in range(64):
                    group.start_soon(call_some, store, range(worker, 2000, 64))

        with pytest.raises(ExceptionGroup):
            await call_all()
        return clock() - began

    async def call_some(store: RemoteStore, numbers: range) -> None:
        for number in numbers:
            await store.stat(str(number))

    assert run_in_virtual_time(run()) < 60
