"""How many requests a second a store that throttles takes."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

import anyio

__all__ = ["RequestPace"]

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

ROUND_REQUESTS = 32
"""So many answers are looked at together; fewer once SLOW_ROUND_SECONDS have passed."""
SLOW_ROUND_SECONDS = 0.5
SLOW_ROUND_REQUESTS = 16
SLOW_CLEAN_ROUND_REQUESTS = 4
"""Without a throttled one among them."""

TOLERABLE_SHARE = 1 / 8
"""Of the requests of a round, throttled ones that slow nothing down: five attempts fail in 3 of 100,000 cases."""
LOSING_SHARE = 1 / 3
"""Above this, attempts would soon be used up (1 in 250): the pace is slowed down whatever causes it."""

SLOWER = 0.9
"""Of what the store took in a round, so that its own account may recover."""
QUICKER = 1.04
QUICKER_BY_PER_SECOND = 1.0
KNOWN_LIMIT = 1.4
"""Up to this many times what the store took last, the pace grows slowly; above it, faster each round."""
LEAST_PER_SECOND = 1.0
LARGEST_STEP_DOWN = 16
TIMER_SECONDS = 0.001
"""A loop's timers are no finer: whoever would have to wait for less goes, and the next one waits for longer."""
BURST_SECONDS = 0.01
"""Of the time in which nobody wanted to send, so much is made up for; and what a timer overslept."""

VAIN_SHARE = 1 / 16
VAIN_CUTS = 4
VAIN_SECONDS = 10.0
"""After so many cuts in a row that left more than VAIN_SHARE throttled, all are taken back for so long: a store that is
asked for nine tenths of what it took throttles for some other reason than how often it is asked."""


class RequestPace:
    """No limit until a store throttles, then what it took: a little less at first, slowly more while it takes it.

    A request refused now and then changes nothing: only what share of a round is throttled counts. For one event loop.
    Costs 0.4 µs a request while nothing is throttled.

    Attributes:
        per_second: Requests that may go out in a second; infinite where nothing was throttled.
    """

    def __init__(self, *, clock: Clock = time.monotonic, sleep: Sleep = anyio.sleep) -> None:
        self.per_second = math.inf
        self._clock = clock
        self._sleep = sleep
        self._gate = anyio.Lock(fast_acquire=True)
        self._next_at = 0.0
        self._taken_per_second = 0.0
        self._step = QUICKER
        self._was_cut = False
        self._vain_cuts = 0
        self._before_vain_cuts = math.inf
        self._untouched_until = -math.inf
        self._round = 0
        self._begin_round()

    async def turn(self) -> int:
        """Wait until a request may go out. Its answer belongs to the round that is returned.

        First come, first served; cancellation takes no turn.
        """
        if self.per_second < math.inf:
            async with self._gate:
                await self._pass_gate()
        self._sent += 1
        return self._round

    async def _pass_gate(self) -> None:
        # Only the first waits for a time; those behind it heed what the pace has become by then.
        while self.per_second < math.inf and (wait := self._next_at - self._clock()) > TIMER_SECONDS:
            await self._sleep(wait)
        self._next_at = max(self._next_at, self._clock() - BURST_SECONDS) + 1 / self.per_second

    def answered(self, of_round: int, *, throttled: bool = False) -> None:
        """A request was answered. One that went out before the pace was last looked at says nothing about it."""
        if of_round != self._round:
            return
        self._answered += 1
        self._throttled += throttled
        if self._answered >= ROUND_REQUESTS or self._is_slow_round():
            self._end_round()

    def _is_slow_round(self) -> bool:
        enough = SLOW_ROUND_REQUESTS if self._throttled else SLOW_CLEAN_ROUND_REQUESTS
        return self._answered >= enough and self._clock() - self._began >= SLOW_ROUND_SECONDS

    def _end_round(self) -> None:
        if self._throttled or self.per_second < math.inf:
            share = self._throttled / self._answered
            # Requests, not answers: where a store is far, many of the answers are still to come.
            sent_per_second = self._sent / max(self._clock() - self._began, 1e-4)
            self._note_effect(share)
            if share > TOLERABLE_SHARE:
                self._slow_down(share, sent_per_second)
            elif self.per_second < math.inf:
                self._speed_up(sent_per_second)
        self._begin_round()

    def _begin_round(self) -> None:
        self._round += 1
        self._began = self._clock()
        self._sent = self._answered = self._throttled = 0

    def _note_effect(self, share: float) -> None:
        if share > LOSING_SHARE or (self._was_cut and share <= VAIN_SHARE):
            self._vain_cuts = 0
        elif self._was_cut:
            self._vain_cuts += 1
        self._was_cut = False

    def _slow_down(self, share: float, sent_per_second: float) -> None:
        self._step = QUICKER
        now = self._clock()
        if share <= LOSING_SHARE and now < self._untouched_until:
            return
        if self._vain_cuts >= VAIN_CUTS:
            self.per_second = self._before_vain_cuts
            self._untouched_until = now + VAIN_SECONDS
            self._vain_cuts = 0
            return
        if not self._vain_cuts:
            self._before_vain_cuts = self.per_second
        self._taken_per_second = min(self.per_second, sent_per_second) * (1 - share)
        self.per_second = max(SLOWER * self._taken_per_second, sent_per_second / LARGEST_STEP_DOWN, LEAST_PER_SECOND)
        self._was_cut = True

    def _speed_up(self, sent_per_second: float) -> None:
        if self._throttled or self.per_second < KNOWN_LIMIT * self._taken_per_second:
            self._step = QUICKER
        elif sent_per_second < self.per_second / 2:
            self.per_second = math.inf  # it holds nobody back
        else:
            self._step = min(2.0, 1 + 2 * (self._step - 1))
        self.per_second = self.per_second * self._step + QUICKER_BY_PER_SECOND
