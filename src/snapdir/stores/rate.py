"""Limits on requests and bytes per second."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

LONGEST_SLEEP_SECONDS = 1.0
"""Tokens may be given back meanwhile."""
PERIOD_SECONDS = 0.5
"""The rate is adjusted this often, from the outcomes of the last two periods, because many stores count requests per
second."""
REFUSED_SHARE = 1 / 5
"""A store may refuse some requests at any rate. Of 30 requests, a tenth is often an eighth by chance, rarely a
fifth: 8 at a time kept a quarter of their speed with an eighth, and nine tenths with a fifth."""
RATE_DECREASE_FACTOR = 0.9
"""Factor on the accepted rate: a store that also counts refused requests can then recover."""
RATE_INCREASE_FACTOR = 1.15
"""From MIN_PER_SECOND to 1,000 per second takes 20 s, and 30 s with 1.1; with 1.2 a limit fails single calls."""
MIN_PER_SECOND = 4.0
"""Enough to notice the end of an outage; twice as many would use up the attempts of calls while it lasts."""


class RateLimit:
    """A token bucket: ``per_second`` tokens per second; up to one second's worth is saved while none are taken.

    For one event loop.

    Attributes:
        per_second: ``math.inf`` for no limit.
    """

    def __init__(self, per_second: float, *, clock: Clock = time.monotonic, sleep: Sleep = anyio.sleep) -> None:
        self.per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._gate = anyio.Lock(fast_acquire=True)
        self._free_at = clock() - 1.0  # full
        self._has_waited = False

    async def take(self, tokens: float = 1.0) -> None:
        """Wait until the bucket is out of debt, then take ``tokens``; more than it holds put it into debt.

        First come, first served. A cancelled wait takes nothing.
        """
        if self.per_second == math.inf:
            return
        async with self._gate:  # only the first one waits for a time: the rate may have changed for the next
            while (wait_seconds := self._free_at - self._clock()) > 0:
                self._has_waited = True
                await self._sleep(min(wait_seconds, LONGEST_SLEEP_SECONDS))
            # A timer that is late by less than a second costs nothing: the next tokens come at once.
            self._free_at = max(self._free_at, self._clock() - 1.0) + tokens / self.per_second

    def give_back(self, tokens: float) -> None:
        """Return tokens that were not used; with fewer than none, take more without waiting."""
        self._free_at -= tokens / self.per_second


@dataclass(slots=True)
class _Period:
    began_at: float
    sent: int = 0
    refused: int = 0


class AdaptiveRate(RateLimit):
    """Requests per second: no limit until a store throttles, then about what the store accepts.

    If more than REFUSED_SHARE of the last requests were refused, the rate becomes a little lower than the accepted
    rate. Otherwise it rises, or becomes unlimited if no request had to wait. Without a limit, a request costs 0.3 µs.

    Args:
        ceiling: The highest rate.
    """

    def __init__(self, ceiling: float = math.inf, *, clock: Clock = time.monotonic, sleep: Sleep = anyio.sleep) -> None:
        super().__init__(ceiling, clock=clock, sleep=sleep)
        self._ceiling = ceiling
        self._sent_at = clock()
        self._earlier: _Period | None = None
        self._current = _Period(self._sent_at)
        self._is_settling = False

    @property
    def is_lowered(self) -> bool:
        """Whether requests are held back because the store throttles."""
        return self.per_second < self._ceiling

    async def take(self, tokens: float = 1.0) -> None:
        """Wait until a request may go out. First come, first served; a cancelled wait takes nothing."""
        if self.per_second < math.inf:
            await super().take(tokens)
        now = self._clock()
        if now - self._sent_at >= PERIOD_SECONDS:
            self._start_over(now)  # a rate measured across a pause is meaningless
        elif now - self._current.began_at >= PERIOD_SECONDS:
            self._end_period(now)
        self._sent_at = now
        self._current.sent += 1

    def refused(self) -> None:
        """The store refused a request. Pending ones count as accepted, because refusals arrive quickly."""
        self._current.refused += 1

    def _start_over(self, now: float, *, is_settling: bool = False) -> None:
        self._earlier, self._current, self._is_settling = None, _Period(now), is_settling

    def _end_period(self, now: float) -> None:
        if self._is_settling:
            self._start_over(now)  # it counted refusals of requests sent before the step down
            return
        first, last = self._earlier or _Period(self._current.began_at), self._current
        self._earlier, self._current = last, _Period(now)
        sent, refused = first.sent + last.sent, first.refused + last.refused
        if refused > REFUSED_SHARE * sent:
            self._step_down((sent - refused) / (now - first.began_at), now)
        elif not self._has_waited:
            self.per_second = self._ceiling
        else:
            self.per_second = min(self._ceiling, RATE_INCREASE_FACTOR * self.per_second)
        self._has_waited = False

    def _step_down(self, taken_per_second: float, now: float) -> None:
        self.per_second = min(self.per_second, max(MIN_PER_SECOND, RATE_DECREASE_FACTOR * taken_per_second))
        self._free_at = max(self._free_at, now)  # what was saved at the old rate is gone
        self._start_over(now, is_settling=True)
