"""How hard a store is asked: the buckets hold, and what becomes of a request is told to its window and its pace."""

from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import ConnectionFailed, ObjectNotFound, Throttled
from snapdir.stores.base import ObjectInfo
from snapdir.stores.limiting import LimitingStore, TokenBucket
from snapdir.stores.memory import MemoryStore
from snapdir.stores.request_pace import RequestPace, Round
from snapdir.stores.request_window import RequestWindow
from tests.stores.virtual_time import ManualClock


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


async def test_the_pace_is_told_of_every_request_what_became_of_it() -> None:
    told: list[str] = []
    turn = Round(0.0)

    class Noting(RequestPace):
        async def turn(self) -> Round | None:
            return turn

        def answered(self, of_round: Round | None, *, throttled: bool = False) -> None:
            assert of_round is turn
            told.append("throttled" if throttled else "answered")

        def unanswered(self, of_round: Round | None) -> None:
            assert of_round is turn
            told.append("unanswered")

    class Failing(MemoryStore):
        async def stat(self, key: str) -> ObjectInfo:
            if not errors:
                await anyio.sleep_forever()
            raise errors[0]

    errors: list[Exception] = [ObjectNotFound("key"), Throttled("slow down"), ConnectionFailed("lost"), OSError("no")]
    store = LimitingStore(Failing(), RequestWindow(4), pace=Noting())
    while errors:
        with pytest.raises(type(errors[0])):
            await store.stat("key")
        errors.pop(0)
    with anyio.move_on_after(0):
        await store.stat("key")
    assert told == ["answered", "throttled", "unanswered", "unanswered", "unanswered"]
    await store.write("key", b"x")
    assert told[5:] == ["answered"]


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
