"""When to stop asking a store that does not answer, or that takes nothing."""

from __future__ import annotations

from collections.abc import Callable

from snapdir.errors import ConnectionFailed, Throttled, TransientStoreError
from snapdir.stores.base import BodyCutShort
from snapdir.stores.settings import MAX_RETRY_AFTER_SECONDS

__all__ = ["SignsOfLife"]


class SignsOfLife:
    """Tells a store that fails now and then from one that is gone, or that takes nothing.

    While every request times out, few are let through at a time (see ``RequestWindow``); while every one is throttled,
    few a second (see ``RequestPace``). To give up, each of many calls would have to wait for its turn, attempts times
    over.

    Args:
        attempts: A store is gone when so many connections failed in a row,
        dead_after_seconds: and for so long.
        refusals: A store takes nothing when it throttled so many requests in a row,
        refused_after_seconds: and for so long, with what it said in ``attempts`` Retry-Afters.
    """

    def __init__(
        self,
        attempts: int,
        dead_after_seconds: float,
        clock: Callable[[], float],
        *,
        refusals: int,
        refused_after_seconds: float,
    ) -> None:
        self._attempts = attempts
        self._dead_after_seconds = dead_after_seconds
        self._needed_refusals = refusals
        self._refused_after_seconds = refused_after_seconds
        self._clock = clock
        self._failures = 0
        self._failing_since = 0.0
        self._refusals = 0
        self._refusing_since = 0.0

    def passed(self) -> None:
        """The store did what it was asked, or said why not."""
        self._failures = self._refusals = 0

    def failed(self, error: TransientStoreError, began_at: float) -> bool:
        """A request of a call that began at ``began_at`` failed in a way that may pass; whether to give the call up."""
        now = self._clock()
        if isinstance(error, ConnectionFailed) and not isinstance(error, BodyCutShort):
            return self._is_dead(began_at, now)
        self._failures = 0
        if isinstance(error, Throttled):
            return self._takes_nothing(began_at, now, min(error.retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS))
        self._refusals = 0
        return False

    def _is_dead(self, began_at: float, now: float) -> bool:
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        waited = now - max(self._failing_since, began_at)
        return self._failures >= self._attempts and waited >= self._dead_after_seconds

    def _takes_nothing(self, began_at: float, now: float, retry_after_seconds: float) -> bool:
        if not self._refusals:
            self._refusing_since = now
        self._refusals += 1
        waited = now - max(self._refusing_since, began_at)
        # Whoever says when to come back is believed, and may say it again.
        patience = self._refused_after_seconds + self._attempts * retry_after_seconds
        return self._refusals >= self._needed_refusals and waited >= patience

    def now(self) -> float:
        """The time for ``began_at``, in seconds."""
        return self._clock()
