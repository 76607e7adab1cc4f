"""A store that is gone, or takes nothing, is given up before every call has had all its attempts."""

from __future__ import annotations

import anyio
import pytest

from snapdir.errors import ConnectionFailed, Throttled, TransientStoreError
from snapdir.stores.base import BodyCutShort, ObjectInfo
from snapdir.stores.memory import MemoryStore
from snapdir.stores.patience import SignsOfLife
from snapdir.stores.retrying import RetryingStore
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


LOST, REFUSED, BROKEN = ConnectionFailed("lost"), Throttled("slow down"), TransientStoreError("broken")


@pytest.mark.parametrize("failure", [LOST, REFUSED], ids=["lost", "refused"])
def test_a_store_that_fails_for_long_and_often_is_given_up(failure: TransientStoreError) -> None:
    clock = ManualClock()
    life = SignsOfLife(5, 100.0, clock, refusals=5, refused_after_seconds=100.0)
    began = clock.now
    assert [life.failed(failure, began) for _ in range(20)] == [False] * 20, "no time has passed"
    clock.now += 100
    assert not life.failed(failure, clock.now - 1), "a call that has just begun has its attempts"
    assert life.failed(failure, began)
    life.passed()
    assert [life.failed(failure, began) for _ in range(5)] == [False] * 5
    clock.now += 100
    assert life.failed(failure, began)


@pytest.mark.parametrize("failure", [LOST, REFUSED], ids=["lost", "refused"])
def test_few_failures_are_not_enough_however_long_they_take(failure: TransientStoreError) -> None:
    clock = ManualClock()
    life = SignsOfLife(5, 100.0, clock, refusals=5, refused_after_seconds=100.0)
    began = clock.now
    for _ in range(4):
        assert not life.failed(failure, began)
        clock.now += 1000
    assert life.failed(failure, began)


@pytest.mark.parametrize(
    ("failure", "other"),
    [(LOST, REFUSED), (LOST, BROKEN), (LOST, BodyCutShort("cut", received=1)), (REFUSED, BROKEN)],
    ids=["a refusal", "an error", "half a body", "an error instead of a refusal"],
)
def test_another_failure_now_and_then_is_a_sign_of_life(
    failure: TransientStoreError, other: TransientStoreError
) -> None:
    clock = ManualClock()
    life = SignsOfLife(5, 100.0, clock, refusals=5, refused_after_seconds=100.0)
    for _ in range(10):
        for _ in range(4):
            assert not life.failed(failure, 0.0)
            clock.now += 24
        life.failed(other, clock.now)


def test_a_store_that_says_when_to_come_back_is_believed_for_a_while() -> None:
    clock = ManualClock()
    life = SignsOfLife(5, 100.0, clock, refusals=5, refused_after_seconds=10.0)
    later = Throttled("later", retry_after_seconds=20.0)
    began = clock.now
    gave_up = [life.failed(later, began)]
    while not gave_up[-1]:
        clock.now += 20
        gave_up.append(life.failed(later, began))
    assert clock.now - began == 120  # 10 + 5 * 20, and when it is asked next


async def test_the_error_says_how_often_it_was_tried() -> None:
    clock = ManualClock()
    retrying = RetryingStore(Gone(clock), RetryPolicy(attempts=3), sleep=clock.sleep)
    with pytest.raises(TransientStoreError, match=r"no answer \(after 3 attempts\)"):
        await retrying.stat("key")
