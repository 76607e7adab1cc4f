"""A store that is gone is given up before every call has had all its attempts."""

from __future__ import annotations

import anyio
import pytest

from snapdir.errors import ConnectionFailed, Throttled, TransientStoreError
from snapdir.stores.base import ObjectInfo
from snapdir.stores.memory import MemoryStore
from snapdir.stores.retrying import RetryingStore, SignsOfLife
from snapdir.stores.settings import RetryPolicy, StoreSettings
from tests.stores.virtual_time import ManualClock

TIMEOUT = 30.0


class Gone(MemoryStore):
    """Each request takes a timeout, one after another."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self._one = anyio.Lock()
        self.asked = 0

    async def stat(self, key: str) -> ObjectInfo:
        async with self._one:
            self.asked += 1
            await self._clock.sleep(TIMEOUT)
            raise ConnectionFailed("no answer", key=key)


async def test_many_calls_to_a_store_that_is_gone_end_soon() -> None:
    clock = ManualClock()
    store = Gone(clock)
    settings = StoreSettings(first_byte_timeout_seconds=TIMEOUT)
    retrying = RetryingStore(
        store, settings.retry, dead_after_seconds=settings.dead_after_seconds, sleep=clock.sleep, clock=clock
    )

    async def ask_all() -> None:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(retrying.stat, f"{number}")

    with pytest.raises(ExceptionGroup) as caught:
        await ask_all()
    assert all(isinstance(error, ConnectionFailed) for error in caught.value.exceptions)
    assert clock.now - 1000.0 <= settings.dead_after_seconds + 3 * TIMEOUT


def test_a_store_that_answers_now_and_then_is_not_gone() -> None:
    clock = ManualClock()
    life = SignsOfLife(5, 100.0, clock)
    lost = ConnectionFailed("lost")
    for sign in (life.passed, lambda: life.is_gone(Throttled("slow down"), 0.0)):
        life.passed()
        for _ in range(30):
            assert not life.is_gone(lost, 0.0)
            clock.now += 20
            if _ % 4 == 3:
                sign()
    life.passed()
    assert [life.is_gone(lost, 0.0) for _ in range(20)] == [False] * 20, "no time has passed"
    clock.now += 101
    assert not life.is_gone(lost, clock.now - 1), "a call that has just begun has its attempts"
    assert life.is_gone(lost, 0.0)


def test_a_store_that_throttles_everything_for_long_takes_nothing() -> None:
    clock = ManualClock()
    life = SignsOfLife(5, 100.0, clock, refused_after_seconds=10.0)
    refused, lost = Throttled("slow down"), ConnectionFailed("lost")
    began = clock.now
    for sign in (life.passed, lambda: life.is_gone(TransientStoreError("broken"), began)):
        for _ in range(20):
            assert not life.is_gone(refused, began)
            assert not life.is_gone(lost, began)
            clock.now += 9
            sign()
    assert not life.is_gone(refused, began)
    clock.now += 10
    assert not life.is_gone(refused, clock.now - 1), "a call that has just begun has its attempts"
    assert not life.is_gone(Throttled("later", retry_after_seconds=1), began), "the store says when to come back"
    assert life.is_gone(refused, began)


async def test_the_error_says_how_often_it_was_tried() -> None:
    clock = ManualClock()
    retrying = RetryingStore(Gone(clock), RetryPolicy(attempts=3), sleep=clock.sleep)
    with pytest.raises(TransientStoreError, match=r"no answer \(after 3 attempts\)"):
        await retrying.stat("key")
