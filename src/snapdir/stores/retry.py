"""Retries of requests that fail for a reason that may pass."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

import anyio

from snapdir.errors import ConnectionFailed, StoreError, Throttled, TransientStoreError
from snapdir.stores.base import BodyCutShort, StillAtWork
from snapdir.stores.settings import DEFAULT_RETRY, MAX_RETRY_AFTER_SECONDS, RetryPolicy

Result = TypeVar("Result")

_attempt: ContextVar[int] = ContextVar("attempt", default=1)


def attempt_of_this_call() -> int:
    """The number of the attempt that is being made, from 1, for the log."""
    return _attempt.get()


def random_share() -> float:
    """A random number from 0 to 1. ``random`` takes 1.3 ms to import, and a descriptor, which may be lacking."""
    return int.from_bytes(os.urandom(6), "little") / (1 << 48)


class Retries:
    """The retries of all calls to one store, by a policy, until the store is unreachable.

    When a store is down, each call would wait for a slot once per attempt. A call therefore gives up early: after twice
    as many consecutive failures (of all calls) as it has attempts, once no call has succeeded for as long as its own
    attempts and delays can take. (Half as many happen by chance: with ``--limit-rate 1M`` and a fifth refused, one push
    in 40 failed.) Lost connections and error responses are counted apart: a store that responds is reachable.

    Args:
        attempt_seconds: The longest time until an attempt notices a lost connection.
    """

    def __init__(
        self,
        policy: RetryPolicy = DEFAULT_RETRY,
        attempt_seconds: float = math.inf,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        random: Callable[[], float] = random_share,
    ) -> None:
        self._policy = policy
        self._attempt_seconds = attempt_seconds
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._failures = 0
        self._are_lost = False
        self._failing_since = 0.0

    async def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Await ``call()`` until it succeeds, fails for good, or has used up its attempts.

        Delays have full jitter, and are never shorter than a Retry-After of up to a minute.

        Raises:
            TransientStoreError: The last one, with ``attempts`` set; a StillAtWork at once. Other errors leave at once.
        Cancellation: at once, during a delay too.
        """
        policy, began_at = self._policy, self._clock()
        attempts, throttled = 1, 0
        try:
            while True:
                try:
                    result = await call()
                except TransientStoreError as error:
                    error.attempts = attempts
                    throttled += isinstance(error, Throttled)
                    is_last = attempts >= policy.attempts + min(throttled, policy.more_if_throttled)
                    if self._is_store_gone(error, began_at) or is_last or isinstance(error, StillAtWork):
                        raise
                    drawn_seconds = self._random() * policy.longest_delay_seconds(attempts - 1)
                    delay_seconds = max(drawn_seconds, _retry_after_seconds(error))
                except StoreError:
                    self._failures = 0  # the store did its work
                    raise
                else:
                    self._failures = 0
                    return result
                # Outside the handler: while it sleeps, the error and the frames it holds are gone.
                await self._sleep(delay_seconds)
                attempts += 1
                _attempt.set(attempts)
        finally:
            if attempts > 1:
                _attempt.set(1)

    def _is_store_gone(self, error: TransientStoreError, began_at: float) -> bool:
        """Count a failure of a call that began at ``began_at``."""
        if isinstance(error, BodyCutShort):  # a part of the body came
            self._failures = 0
            return False
        now, is_lost = self._clock(), isinstance(error, ConnectionFailed)
        if not self._failures or is_lost is not self._are_lost:
            self._failures, self._are_lost, self._failing_since = 0, is_lost, now
        self._failures += 1
        attempts = self._policy.attempts + (0 if is_lost else self._policy.more_if_throttled)
        attempt_seconds = self._attempt_seconds if is_lost else _retry_after_seconds(error)
        patience_seconds = attempts * attempt_seconds + self._policy.longest_delays_seconds(attempts - 1)
        return self._failures >= 2 * attempts and now - max(self._failing_since, began_at) >= patience_seconds


def _retry_after_seconds(error: TransientStoreError) -> float:
    wish = error.retry_after_seconds if isinstance(error, Throttled) else None
    return min(wish or 0.0, MAX_RETRY_AFTER_SECONDS)
