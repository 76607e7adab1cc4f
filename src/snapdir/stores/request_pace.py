"""How many requests a second a store that throttles takes."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

__all__ = ["RequestPace"]

PERIOD_SECONDS = 0.5
PERIOD_REQUESTS = 16
PERIOD_REQUESTS_ALL_TAKEN = 4
"""A period is so long, and longer until so many requests went out. Two are judged together: many stores count by whole
seconds, and refuse at the end of each."""
IDLE_SECONDS = 1.0
"""When nothing went out for so long, what was seen before tells no speed, and is dropped; the pace stays."""

TOLERABLE_SHARE = 1 / 8
"""Throttled requests that slow nothing down: a store may refuse some whatever the speed, and retries see to those."""
DEVIATIONS = 3.0
"""And so many standard deviations more: of few requests chance refuses more at times. 400 of them, one at a time, to a
store that refuses a tenth take 26 to 54 s without, and 7 to 8 s with it."""
TOLERABLE_SHARE_PACED = 1 / 16
"""Once there is a pace: a limit of 400 a second refuses 7 % then, 17 % to eight clients; with an eighth 12 and 18 %."""
LOSING_SHARE = 1 / 3
LOSING_SECONDS = 0.05
LOSING_REQUESTS = 16
"""The pace becomes slower at once when so many of what went out was refused, so many at least. Sooner than after this
time there is no speed to speak of."""

SLOWER = 0.9
"""Of what the store took, so that its own account may recover."""
LEAST_PER_SECOND = 2.0
"""So few that 64 clients share 400 a second: 1 of 16,000 calls fails, and 444 with eight. The price is an outage of ten
seconds: the speed is back after 17 s, with eight after 9."""
QUICKER_SHARE = 0.04
QUICKER_GROWTH = 1.4
QUICKER_MOST_SHARE = 0.25
"""The pace grows by the first in a period, by 1.4 times that in the next, up to the last. A limit that rises fourfold
is used after 6 s; with equal steps, after 20. Below half of what the store took last, the pace doubles."""
FREE_SHARE = 1 / 8
"""A pace of which no more is used holds nobody back, and is dropped."""

VAIN_ROUNDS = 12
EFFECT = 2 / 3
"""When a slower pace leaves more than this of the share that was throttled before, for so many verdicts together, the
speed is not what the store objects to, and the speed from before comes back: a store that refuses 15 % gets 0.51 of the
full speed then instead of 0.26. Fewer verdicts condemn the limit of many clients more often."""
PATIENT_SECONDS = 10.0
"""For so long after that, only LOSING_SHARE makes the pace slower."""

TIMER_SECONDS = 0.001
"""A loop's timers are no finer: whoever would have to wait for less goes, and the next one waits for longer."""
BURST_SECONDS = 0.01
"""Of the time in which nobody wanted to send, so much is made up for; and what a timer overslept."""


@dataclass(slots=True)
class _Period:
    began: float
    sent: int = 0
    throttled: int = 0


@dataclass(slots=True)
class _Trial:
    """Whether a slower pace leaves fewer requests refused: a store may refuse for other reasons."""

    per_second_before: float
    share_before: float
    rounds: int = 0
    sent: int = 0
    throttled: int = 0

    def had_effect(self, sent: int, throttled: int) -> bool:
        """Add what came of another round. All of them count: of a single one chance leaves less at times."""
        self.rounds += 1
        self.sent += sent
        self.throttled += throttled
        return self.throttled <= EFFECT * self.share_before * self.sent


class RequestPace:
    """No limit until a store throttles more than chance would, then a little less than it took: slowly more from there.

    What counts is the share of requests that is throttled. Those without an answer yet count as taken: refusals come
    soon, transfers may take long. For one event loop. Costs 0.27 µs a request while nothing is throttled.

    Attributes:
        per_second: Requests that may go out in a second; infinite where nothing was throttled.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.per_second = math.inf
        self._clock = clock
        self._sleep = sleep
        self._gate = anyio.Lock(fast_acquire=True)
        self._next_at = 0.0
        self._sent_at = 0.0
        self._era = 0
        self._earlier: _Period | None = None
        self._current = _Period(0.0)
        self._taken_per_second = math.inf
        self._quicker_share = QUICKER_SHARE
        self._trial: _Trial | None = None
        self._patient_until = -math.inf

    async def turn(self) -> None:
        """Wait until a request may go out. First come, first served; cancellation takes no turn."""
        if self.per_second < math.inf:
            async with self._gate:
                # Only the first waits for a time; those behind it heed what the pace has become by then.
                if (wait := self._next_at - self._clock()) > TIMER_SECONDS and self.per_second < math.inf:
                    await self._sleep(wait)
                self._next_at = max(self._next_at, self._clock() - BURST_SECONDS) + 1 / self.per_second

    def sent(self) -> int:
        """A request goes out now.

        Returns:
            What ``throttled`` is told, should the store refuse it.
        """
        now = self._clock()
        if now - self._sent_at > IDLE_SECONDS:
            self._trial = None
            self._start_over(now)
        elif now - self._current.began >= PERIOD_SECONDS:
            self._end_period(now)
        self._sent_at = now
        self._current.sent += 1
        return self._era

    def throttled(self, era: int) -> None:
        """The store refused a request that went out in this era. Of an earlier one, it changes nothing."""
        if era != self._era:
            return
        self._current.throttled += 1
        now = self._clock()
        sent, throttled, seconds = self._seen(now)
        # Of what a period has, lest the end of a limited second be taken for an outage.
        least = PERIOD_SECONDS * self.per_second if self._is_near_limit() else 0.0
        if throttled >= LOSING_REQUESTS and seconds >= LOSING_SECONDS and throttled > LOSING_SHARE * max(sent, least):
            self._trial = None
            self._step_down(SLOWER * (1 - throttled / sent) * sent / seconds, now)

    def _is_near_limit(self) -> bool:
        return self._taken_per_second / 2 <= self.per_second < math.inf

    def _seen(self, now: float) -> tuple[int, int, float]:
        """Requests sent, those of them that were throttled, and the seconds it took."""
        first, last = self._earlier or _Period(self._current.began), self._current
        return first.sent + last.sent, first.throttled + last.throttled, now - first.began

    def _start_over(self, now: float) -> None:
        self._earlier, self._current = None, _Period(now)
        self._era += 1

    def _end_period(self, now: float) -> None:
        current = self._current
        if current.sent < (PERIOD_REQUESTS if current.throttled else PERIOD_REQUESTS_ALL_TAKEN):
            return
        if self._earlier:
            self._judge(*self._seen(now), now)
        if self._current is current:  # nothing made it start over
            self._earlier, self._current = current, _Period(now)

    def _judge(self, sent: int, throttled: int, seconds: float, now: float) -> None:
        sent_per_second = sent / seconds
        if self._trial and self._trial.had_effect(sent, throttled):
            self._trial = None
        if self._trial and self._trial.rounds >= VAIN_ROUNDS:
            self._take_back(self._trial, now)
        elif throttled > self._tolerable(sent, now):
            self._try_slower(min(1.0, throttled / sent), sent_per_second, now)
        elif self.per_second < math.inf:
            self._speed_up(sent_per_second)

    def _tolerable(self, sent: int, now: float) -> float:
        """Refusals of so many requests that may well be chance, or of no concern."""
        if now < self._patient_until:
            return LOSING_SHARE * sent
        expected = (TOLERABLE_SHARE_PACED if self.per_second < math.inf else TOLERABLE_SHARE) * sent
        return expected + DEVIATIONS * math.sqrt(expected)

    def _try_slower(self, share: float, sent_per_second: float, now: float) -> None:
        if not self._trial:
            self._trial = _Trial(sent_per_second, share)
        taken_per_second = (1 - share) * sent_per_second
        if taken_per_second > LEAST_PER_SECOND:  # or else it is no limit, but the end of an outage
            self._taken_per_second = taken_per_second
        self._step_down(SLOWER * taken_per_second, now)

    def _step_down(self, per_second: float, now: float) -> None:
        self.per_second = max(min(per_second, self.per_second), LEAST_PER_SECOND)
        self._quicker_share = QUICKER_SHARE
        self._start_over(now)

    def _take_back(self, trial: _Trial, now: float) -> None:
        self.per_second = trial.per_second_before
        self._taken_per_second = math.inf  # nothing is known of a limit
        self._trial = None
        self._patient_until = now + PATIENT_SECONDS
        self._start_over(now)

    def _speed_up(self, sent_per_second: float) -> None:
        if sent_per_second < FREE_SHARE * self.per_second:
            self.per_second = math.inf
        elif self._is_near_limit():
            self.per_second *= 1 + self._quicker_share
            self._quicker_share = min(QUICKER_MOST_SHARE, QUICKER_GROWTH * self._quicker_share)
        else:
            self.per_second *= 2
        if self._trial and self.per_second >= self._trial.per_second_before:
            self._trial = None  # it is not slower any more
