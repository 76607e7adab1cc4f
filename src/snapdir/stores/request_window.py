"""How many requests in flight a store takes: so many as make it faster."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from snapdir.model.sizes import KIB

__all__ = ["RequestWindow"]

START_REQUESTS = 32
REQUESTS_A_LOOK = 4
"""The window's effect is judged after this many requests for each place in it."""
WORTHWHILE_GAIN = 1.05
HOLD_SECONDS = 5.0
"""After a step that did not pay, the window stays as it is for this long; then it is tried again."""
FAILURES_TO_NARROW = 4
NARROWING_SHARE = 1 / 8
"""The window is halved when so many requests since it was last judged, and such a share of them (of a whole window at
least), got no answer."""
LEAST_NARROWED = 8
"""Failures do not narrow the window below this: each may cost a whole timeout."""
REQUEST_COST_BYTES = 64 * KIB
"""A request counts as this many bytes besides its own, so that small and large ones can be added up."""


class RequestWindow:
    """Requests in flight: from ``start`` up while that makes it faster, half of it when many get no answer.

    First come, first served. For one event loop. Costs 0.25 µs a request that need not wait.

    Args:
        share: Of the widest window that made it faster, how much to stay with: less than 1.0 leaves room for others.

    Attributes:
        limit: Requests that may be in flight now; never below 1.
    """

    def __init__(
        self,
        maximum: int,
        *,
        start: int = START_REQUESTS,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = min(start, maximum)
        self._share = share
        self._useful = self.limit
        self._maximum = maximum
        self._clock = clock
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._done = 0
        self._moved_bytes = 0
        self._began = clock()
        self._best_rate = 0.0
        self._hold_until = 0.0
        self._is_holding = False
        self._was_full = False
        self._is_disregarded = False
        self._failed = 0
        self._from_before_halving = 0

    async def acquire(self) -> None:
        """Take a place, waiting for one if need be. Cancellation takes none."""
        if self._in_flight < self.limit:  # nobody waits then: see _give
            self._in_flight += 1
            return
        self._was_full = True
        given = asyncio.get_running_loop().create_future()  # once a request: 2.2 µs, an anyio.Event takes 5.6
        self._waiting.append(given)
        try:
            await given
        except BaseException:
            if given.done() and not given.cancelled():
                self._in_flight -= 1
                self._give()
            else:
                with suppress(ValueError):  # _give has met it already
                    self._waiting.remove(given)
            raise

    def release(self, moved_bytes: int = 0, *, is_refused: bool = False) -> None:
        """Give the place back after a request that moved so many bytes.

        Args:
            is_refused: By a store that throttles: it tells nothing of how fast the others are.
        """
        self._in_flight -= 1
        self._from_before_halving = max(0, self._from_before_halving - 1)
        if not is_refused:
            self._done += 1
            self._moved_bytes += moved_bytes + REQUEST_COST_BYTES
        if self._done >= REQUESTS_A_LOOK * self.limit:
            self._look()
        self._give()

    def failed(self) -> None:
        """A request got no answer. Half of the window when that is no exception, once for as many as were in flight."""
        if self._from_before_halving:
            return
        self._failed += 1
        if self._failed >= max(FAILURES_TO_NARROW, NARROWING_SHARE * max(self._done, self.limit)):
            self.limit = self._useful = min(self.limit, max(LEAST_NARROWED, self.limit // 2))
            self._from_before_halving = self._in_flight
            self._start_over(self._clock())

    def disregard(self) -> None:
        """What is seen until the next look says nothing of the window: something else holds requests back."""
        self._is_disregarded = True

    def _look(self) -> None:
        """Widen the window if it was full, and if the last step made things faster; step back if it did not."""
        now = self._clock()
        if self._was_full and now >= self._hold_until and not self._is_disregarded:
            self._judge(self._moved_bytes / max(now - self._began, 1e-6), now)
        self._start_over(now)

    def _judge(self, rate: float, now: float) -> None:
        if self._is_holding:
            self.limit = self._useful
            self._best_rate = 0.0  # requests may be of another kind by now
            self._is_holding = False
        elif rate > self._best_rate * WORTHWHILE_GAIN:
            self._best_rate = rate
            self._useful = self.limit
            self.limit = min(self._maximum, self.limit + max(1, self.limit // 2))
        else:
            self.limit = max(1, int(self._share * self._useful))
            self._hold_until = now + HOLD_SECONDS
            self._is_holding = True

    def _start_over(self, now: float) -> None:
        self._began = now
        self._done = self._moved_bytes = self._failed = 0
        self._was_full = bool(self._waiting)
        self._is_disregarded = False

    def _give(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            given = self._waiting.popleft()
            if not given.cancelled():
                self._in_flight += 1
                given.set_result(None)
