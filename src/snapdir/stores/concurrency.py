"""A limit on the requests in flight that adapts to the store."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from snapdir.model.sizes import KIB

START_REQUESTS = 32
"""Most stores are faster with 32 requests in flight than with fewer, and no store fails at this number."""
REQUESTS_PER_STEP = 4
"""The throughput is measured over this many requests for each one in flight; fewer would measure noise."""
WORTHWHILE_GAIN = 1.05
"""Half as many requests more must add a twentieth to the throughput, which varies by less without them."""
HOLD_SECONDS = 5.0
"""After a step without a gain, a higher limit is tried again after this time: requests may have changed in kind."""
LOST_SHARE = 1 / 8
"""The limit is halved when this share of requests (of START_REQUESTS at least) lost their connections."""
MIN_AFTER_LOSSES = 8
"""Lost connections do not lower the limit below this: each may cost a whole timeout."""
REQUEST_COST_BYTES = 64 * KIB
"""A request counts as this many bytes besides its own, so that small and large requests add up to one throughput."""


class ConcurrencyLimit:
    """Requests in flight: more while that adds throughput, half when many of them lose their connections.

    First come, first served. For one event loop. A request that need not wait costs 0.4 µs.

    Args:
        share: The fraction to use of the highest limit that added throughput; less than 1.0 leaves room for others.

    Attributes:
        limit: Requests that may be in flight now; never below 1.
    """

    def __init__(
        self,
        max_concurrency: int,
        *,
        start: int = START_REQUESTS,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = min(start, max_concurrency)
        self._share = share
        self._useful = self.limit
        self._max_concurrency = max_concurrency
        self._clock = clock
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._best_throughput = 0.0
        self._hold_until = 0.0
        self._is_holding = False
        self._from_before_halving = 0
        self._begin_step(clock())

    async def acquire(self) -> None:
        """Take a slot, waiting for one if need be. A cancelled wait takes none."""
        if self._in_flight < self.limit:  # then none waits: see _give
            self._in_flight += 1
            return
        self._was_full = True
        slot = asyncio.get_running_loop().create_future()  # 2.2 µs per request; an anyio.Event takes 5.6
        self._waiting.append(slot)
        try:
            await slot
        except BaseException:
            slot.cancel()  # without effect if the slot was given in the same turn
            if not slot.cancelled():
                self._in_flight -= 1
                self._give()
            raise

    def release(self, moved_bytes: int = 0, *, is_refused: bool = False) -> None:
        """Give the slot back after a request that moved ``moved_bytes``.

        Args:
            is_refused: The store throttled the request, which therefore does not count as throughput.
        """
        self._in_flight -= 1
        self._from_before_halving = max(0, self._from_before_halving - 1)
        if not is_refused:
            self._done += 1
            self._moved_bytes += moved_bytes + REQUEST_COST_BYTES
        if self._done >= REQUESTS_PER_STEP * self.limit:
            self._end_step()
        self._give()

    def lost(self) -> None:
        """A request lost its connection. Halve the limit if many did, once for all that were in flight together."""
        if self._from_before_halving:
            return
        self._lost += 1
        if self._lost >= LOST_SHARE * max(self._done, self.limit, START_REQUESTS):
            self.limit = self._useful = min(self.limit, max(MIN_AFTER_LOSSES, self.limit // 2))
            self._from_before_halving = self._in_flight
            self._begin_step(self._clock())

    def disregard(self) -> None:
        """Ignore this step: another limit is holding requests back."""
        self._is_disregarded = True

    def _end_step(self) -> None:
        now = self._clock()
        if self._was_full and now >= self._hold_until and not self._is_disregarded:
            self._adapt(self._moved_bytes / max(now - self._began_at, 1e-6), now)
        self._begin_step(now)

    def _adapt(self, throughput: float, now: float) -> None:
        """Raise the limit if the last step up added throughput, else go back and hold."""
        if self._is_holding:
            self.limit = self._useful
            self._best_throughput = 0.0
            self._is_holding = False
        elif throughput > self._best_throughput * WORTHWHILE_GAIN:
            self._best_throughput = throughput
            self._useful = self.limit
            self.limit = min(self._max_concurrency, self.limit + max(1, self.limit // 2))
        else:
            self.limit = max(1, int(self._share * self._useful))
            self._hold_until = now + HOLD_SECONDS
            self._is_holding = True

    def _begin_step(self, now: float) -> None:
        self._began_at = now
        self._done = self._moved_bytes = self._lost = 0
        self._was_full = bool(self._waiting)
        self._is_disregarded = False

    def _give(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            slot = self._waiting.popleft()
            if not slot.cancelled():
                self._in_flight += 1
                slot.set_result(None)
