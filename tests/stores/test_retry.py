"""Transient failures are retried with the right delays, others are not, and calls to an unreachable store give up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from anyio.abc import TaskGroup

from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    InvalidResponse,
    StoreError,
    StoreRefused,
    Throttled,
    TransientStoreError,
)
from snapdir.stores.base import BodyCutShort, StillAtWork
from snapdir.stores.retry import Retries
from snapdir.stores.settings import RetryPolicy, StoreSettings
from tests.stores.virtual_time import ManualClock, run_in_virtual_time

POLICY = RetryPolicy(attempts=4, base_seconds=1.0, max_seconds=3.0)
LOST, REFUSED, BROKEN = ConnectionFailed("lost"), Throttled("slow down"), TransientStoreError("broken")


class Clock:
    """Sleeps in no time, and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """A call that raises these, one after the other, and then succeeds; and the count of its calls."""
    left = list(errors)
    calls: list[int] = []

    async def call() -> str:
        calls.append(1)
        if left:
            raise left.pop(0)
        return "done"

    return call, calls


async def test_a_call_that_succeeds_is_made_once() -> None:
    clock = Clock()
    call, calls = failing()
    assert await Retries(POLICY, sleep=clock.sleep).run(call) == "done"
    assert (len(calls), clock.slept) == (1, [])


async def test_the_delay_doubles_up_to_its_bound_and_is_drawn_from_all_of_it() -> None:
    policy = RetryPolicy(attempts=6, base_seconds=1.0, max_seconds=5.0)
    for drawn in (0.0, 0.5, 0.999):
        clock = Clock()
        call, _ = failing(*(ConnectionFailed("no") for _ in range(5)))
        assert await Retries(policy, sleep=clock.sleep, random=lambda drawn=drawn: drawn).run(call) == "done"
        assert clock.slept == [drawn * bound for bound in (1, 2, 4, 5, 5)]


@pytest.mark.parametrize(
    ("wish", "slept"), [(None, 0.5), (0.1, 0.5), (7.0, 7.0), (60.0, 60.0), (3600.0, 60.0), (1e9, 60.0)]
)
async def test_no_delay_is_shorter_than_a_retry_after(wish: float | None, slept: float) -> None:
    clock = Clock()
    call, _ = failing(Throttled("slow down", retry_after_seconds=wish))
    await Retries(POLICY, sleep=clock.sleep, random=lambda: 0.5).run(call)
    assert clock.slept == [slept]


async def test_the_error_that_leaves_counts_the_attempts() -> None:
    errors = [InvalidResponse("nonsense"), ConnectionFailed("reset"), Throttled("slow"), TransientStoreError("last")]
    call, calls = failing(*errors)
    with pytest.raises(TransientStoreError) as raised:
        await Retries(POLICY, sleep=Clock().sleep).run(call)
    assert raised.value is errors[-1]
    assert (raised.value.attempts, len(calls)) == (4, 4)


@pytest.mark.parametrize("error", [AccessDenied("no"), StoreRefused("no"), ValueError("no")])
async def test_a_failure_that_will_not_pass_is_not_retried(error: Exception) -> None:
    call, calls = failing(error)
    with pytest.raises(type(error)):
        await Retries(POLICY, sleep=Clock().sleep).run(call)
    assert len(calls) == 1


async def test_a_request_that_a_store_still_works_on_is_not_repeated() -> None:
    call, calls = failing(StillAtWork("no answer in minutes"))
    with pytest.raises(StillAtWork) as raised:
        await Retries(POLICY, sleep=Clock().sleep).run(call)
    assert (len(calls), raised.value.attempts) == (1, 1)


async def test_a_policy_of_one_attempt_retries_nothing() -> None:
    call, calls = failing(ConnectionFailed("no"))
    with pytest.raises(ConnectionFailed) as raised:
        await Retries(RetryPolicy(attempts=1), sleep=Clock().sleep).run(call)
    assert (raised.value.attempts, len(calls)) == (1, 1)


async def test_many_attempts_do_not_overflow() -> None:
    clock = Clock()
    call, _ = failing(*(ConnectionFailed("no") for _ in range(1999)))
    await Retries(RetryPolicy(attempts=2000), sleep=clock.sleep, random=lambda: 1.0).run(call)
    assert max(clock.slept) == 30


async def test_a_cancellation_ends_the_delay() -> None:
    call, calls = failing(*(ConnectionFailed("no") for _ in range(9)))
    with anyio.move_on_after(0.01) as scope:
        await Retries(RetryPolicy(base_seconds=1e6, max_seconds=1e6), random=lambda: 1.0).run(call)
    assert scope.cancelled_caught
    assert len(calls) == 1


@pytest.mark.parametrize("retries", [0, 1, 5, 64, 65, 200])
@pytest.mark.parametrize("policy", [RetryPolicy(), RetryPolicy(base_seconds=0.0), RetryPolicy(max_seconds=1e30)])
def test_delays_add_up(policy: RetryPolicy, retries: int) -> None:
    one_by_one = [min(policy.max_seconds, policy.base_seconds * 2.0 ** min(k, 64)) for k in range(retries)]
    assert policy.longest_delays_seconds(retries) == pytest.approx(sum(one_by_one))


def test_a_billion_of_them_take_no_time() -> None:
    assert RetryPolicy(max_seconds=1.0).longest_delays_seconds(999_999_999) > 999_999_900


@pytest.mark.parametrize(
    ("error", "seconds", "patience_seconds"),
    [(LOST, 30.0, 5 * 30 + 8), (REFUSED, 0.5, 16)],
    ids=["lost", "refused"],
)
def test_many_calls_to_a_store_that_is_gone_end_soon(
    error: TransientStoreError, seconds: float, patience_seconds: float
) -> None:
    """When few requests go out at a time, each of many calls would need minutes for its attempts."""

    async def run() -> float:
        async def request() -> None:
            async with in_flight:
                await asyncio.sleep(seconds)
                raise error

        clock = asyncio.get_running_loop().time
        began_at = clock()
        retries = Retries(StoreSettings().retry, attempt_seconds=30.0, clock=clock)
        in_flight = asyncio.Semaphore(8)
        with pytest.raises(type(error)):
            await asyncio.gather(*(retries.run(request) for _ in range(200)))  # ends with the first call that fails
        return clock() - began_at

    assert run_in_virtual_time(run()) <= patience_seconds + 3 * seconds


class Calls:
    """Calls to one store that fail one by one, as the test decides. Each then waits for ever or gives up."""

    def __init__(self, group: TaskGroup) -> None:
        self.clock = ManualClock()
        # Four failures in a row; 10 s of delays, and 100 s when each of two attempts may wait 45 s for a connection.
        policy = RetryPolicy(attempts=2, base_seconds=10.0)
        self._retries = Retries(policy, 45.0, clock=self.clock, sleep=lambda _: anyio.sleep_forever())
        self._group = group
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._given_up = 0

    async def begin(self, count: int = 1) -> None:
        for _ in range(count):
            self._group.start_soon(self._call)
        await anyio.wait_all_tasks_blocked()

    async def fail(self, error: StoreError | None) -> bool:
        """Let the call that began first fail, or succeed (None); return whether it gave up."""
        before = self._given_up
        response = self._waiting.popleft()
        if error is None:
            response.set_result(None)
        else:
            response.set_exception(error)
        await anyio.wait_all_tasks_blocked()
        return self._given_up > before

    async def _call(self) -> None:
        async def request() -> None:
            response = asyncio.get_running_loop().create_future()
            self._waiting.append(response)
            await response

        try:
            await self._retries.run(request)
        except TransientStoreError:
            self._given_up += 1
        except StoreError:
            pass


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    async with anyio.create_task_group() as group:
        calls = Calls(group)
        await calls.begin(30)
        yield calls
        group.cancel_scope.cancel()


@pytest.mark.parametrize(("error", "patience_seconds"), [(LOST, 100), (REFUSED, 10), (BROKEN, 10)])
async def test_a_store_that_fails_for_long_and_often_is_given_up(
    calls: Calls, error: TransientStoreError, patience_seconds: float
) -> None:
    assert not any([await calls.fail(error) for _ in range(20)]), "no time has passed"
    calls.clock.now += patience_seconds
    assert await calls.fail(error)


async def test_a_call_that_has_just_begun_has_its_attempts(calls: Calls) -> None:
    for _ in range(29):
        await calls.fail(LOST)
    await calls.begin()
    calls.clock.now += 50
    await calls.begin()
    calls.clock.now += 50
    assert [await calls.fail(LOST) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("error", [LOST, REFUSED], ids=["lost", "refused"])
async def test_few_failures_are_not_enough_however_long_they_take(calls: Calls, error: TransientStoreError) -> None:
    for _ in range(3):
        assert not await calls.fail(error)
        calls.clock.now += 1000
    assert await calls.fail(error)


@pytest.mark.parametrize(
    ("error", "other"),
    [
        (LOST, None),
        (REFUSED, None),
        (LOST, AccessDenied("no")),
        (REFUSED, AccessDenied("no")),
        (LOST, REFUSED),
        (LOST, BodyCutShort("cut", received=1)),
        (REFUSED, LOST),
    ],
    ids=str,
)
async def test_another_outcome_now_and_then_shows_that_the_store_is_not_gone(
    calls: Calls, error: TransientStoreError, other: StoreError | None
) -> None:
    for _ in range(6):
        for _ in range(3):
            assert not await calls.fail(error)
            calls.clock.now += 1000
        await calls.fail(other)


async def test_a_store_with_a_retry_after_is_not_given_up_before_it(calls: Calls) -> None:
    later = Throttled("later", retry_after_seconds=20.0)
    for _ in range(10):
        assert not await calls.fail(later)
    calls.clock.now += 49
    assert not await calls.fail(later)
    calls.clock.now += 1
    assert await calls.fail(later)  # 10 s of delays, and 20 s for each of two attempts
