"""How many requests a second a store that throttles takes."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

__all__ = ["RequestPace", "Round"]

ROUND_REQUESTS = 32
"""So many requests are judged together, by what became of them; those that go out meanwhile are not judged."""
ANSWERED_SHARE = 7 / 8
"""Of the requests of a round: the last few are not waited for. Not the first answers: refusals come sooner than the end
of a long transfer, and would look many."""
SLOW_ROUND_SECONDS = 0.5
SLOW_ROUND_REQUESTS = 16
"""After that time so many requests will do,"""
SLOW_CLEAN_ROUND_REQUESTS = 4
"""or so many of which none was throttled."""
IDLE_SECONDS = 1.0
"""A round in which nobody wanted to send for longer tells no speed, and is dropped."""

TOLERABLE_SHARE = 1 / 8
"""Of a round, throttled requests that slow nothing down: retries see to those, and a limit is used to the full."""
LOSING_SHARE = 1 / 3
"""Above this the pace becomes slower whatever was found out before: of nine attempts all fail 5 times in 100,000."""
TELLING_SHARE = 0.9
"""Above this, the few that were taken say too little of how many the store takes."""

SLOWER = 0.9
"""Of what the store took, so that its own account may recover."""
LARGEST_STEP_DOWN = 16
LEAST_WHILE_ALL_REFUSED = 16.0
"""Requests a second: fewer would be slow to notice that an outage is over. With 4 a second the speed is back 12 s
after one of 10 s, with 16 after 7 s."""
LEAST_PER_SECOND = 1.0
QUICKER_SHARE = 0.04
QUICKER_PER_SECOND = 1.0
QUICKER_MOST_SHARE = 1 / 16
"""The pace grows by QUICKER_SHARE a round, and by QUICKER_PER_SECOND or this share, whichever is less;"""
KNOWN_LIMIT = 1.4
KNOWN_SECONDS = 5.0
"""and twofold above KNOWN_LIMIT times what the store took, or when it is so long ago that it took no more."""

TRIAL_ROUNDS = 4
JUDGED_ROUNDS = 2
"""The last of a trial, when what came of the quicker pace is over. Two without a refusal end it sooner."""
EFFECT = 1 / 3
"""Of the share that was throttled, what a slower pace may leave to count as a remedy."""
PATIENT_SECONDS = 10.0
"""For so long after a trial in vain, only LOSING_SHARE makes the pace slower."""

TIMER_SECONDS = 0.001
"""A loop's timers are no finer: whoever would have to wait for less goes, and the next one waits for longer."""
BURST_SECONDS = 0.01
"""Of the time in which nobody wanted to send, so much is made up for; and what a timer overslept."""


@dataclass(slots=True)
class Round:
    """What went out at one pace, and what became of the first ROUND_REQUESTS of it."""

    began: float
    sent: int = 0
    judged: int = 0
    answered: int = 0
    throttled: int = 0
    idle_since: float = 0.0

    def is_lost(self) -> bool:
        """Sure to be above LOSING_SHARE, whatever becomes of the rest."""
        return self.throttled > LOSING_SHARE * ROUND_REQUESTS

    def is_over(self, clock: Callable[[], float]) -> bool:
        if self.is_lost():
            return True
        if not self.answered or self.answered < ANSWERED_SHARE * self.judged:
            return False
        if self.judged == ROUND_REQUESTS:
            return True
        enough = SLOW_ROUND_REQUESTS if self.throttled else SLOW_CLEAN_ROUND_REQUESTS
        return self.judged >= enough and clock() - self.began >= SLOW_ROUND_SECONDS

    def throttled_share(self) -> float:
        # Of all, where it ended before its time: what has no answer yet may take longer for being taken.
        return self.throttled / (self.judged if self.is_lost() else self.answered)


@dataclass(slots=True)
class _Trial:
    """Whether a slower pace leaves fewer requests refused: a store may refuse for other reasons."""

    pace_before: float
    share_before: float
    rounds: list[Round] = field(default_factory=list)

    def start_over(self, share_before: float) -> None:
        self.share_before = share_before
        self.rounds.clear()

    def is_over(self) -> bool:
        return len(self.rounds) >= TRIAL_ROUNDS or (len(self.rounds) >= JUDGED_ROUNDS and not self._share_now())

    def was_in_vain(self) -> bool:
        return EFFECT * self.share_before < self._share_now() <= LOSING_SHARE

    def _share_now(self) -> float:
        last = self.rounds[-JUDGED_ROUNDS:]
        return sum(one.throttled for one in last) / sum(one.answered for one in last)


class RequestPace:
    """No limit until a store throttles, then a little less than it took: slowly more while it takes that.

    What counts is the share of a round that is throttled: up to TOLERABLE_SHARE nothing becomes slower. A slower pace
    is on trial: when the share stays what it was, the store refuses for other reasons than how often it is asked, and
    the pace from before comes back. For one event loop. Costs 0.5 µs a request while nothing is throttled, 0.9 µs where
    one goes out at a time.

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
        self._taken_per_second = 0.0
        self._slower_at = -math.inf
        self._trial: _Trial | None = None
        self._patient_until = -math.inf
        self._round = Round(clock())

    async def turn(self) -> Round | None:
        """Wait until a request may go out. What becomes of it is told with what is returned; None is not judged.

        First come, first served; cancellation takes no turn.
        """
        if self.per_second < math.inf:
            async with self._gate:
                await self._pass_gate()
        if self._round.answered == self._round.judged:
            self._end_idle_time()
        current = self._round
        current.sent += 1
        if current.judged == ROUND_REQUESTS:
            return None
        current.judged += 1
        return current

    async def _pass_gate(self) -> None:
        # Only the first waits for a time; those behind it heed what the pace has become by then.
        while self.per_second < math.inf and (wait := self._next_at - self._clock()) > TIMER_SECONDS:
            await self._sleep(wait)
        self._next_at = max(self._next_at, self._clock() - BURST_SECONDS) + 1 / self.per_second

    def _end_idle_time(self) -> None:
        now = self._clock()
        if not self._round.judged or now - self._round.idle_since > IDLE_SECONDS + 1 / self.per_second:
            self._round = Round(now)

    def answered(self, of_round: Round | None, *, throttled: bool = False) -> None:
        """A request was answered that had its turn in this round."""
        if of_round is self._round:
            of_round.answered += 1
            of_round.throttled += throttled
            self._look(of_round)

    def unanswered(self, of_round: Round | None) -> None:
        """A request of this round gets no answer: it was cancelled, or its connection was lost."""
        if of_round is self._round:
            of_round.judged -= 1
            self._look(of_round)

    def _look(self, current: Round) -> None:
        if current.is_over(self._clock):
            now = self._clock()
            if current.throttled or self.per_second < math.inf:
                self._judge(current, now)
            self._round = Round(now)
        elif current.answered == current.judged:
            current.idle_since = self._clock()

    def _judge(self, ended: Round, now: float) -> None:
        # What was sent, not what was answered: where a store is far, many of the answers are still to come.
        sent_per_second = min(self.per_second, ended.sent / max(now - ended.began, 1e-6))
        share = ended.throttled_share()
        if self._trial:
            self._trial.rounds.append(ended)
            if self._trial.is_over() and self._end_trial(sent_per_second, now):
                return
        if share > (LOSING_SHARE if now < self._patient_until else TOLERABLE_SHARE):
            self._try_slower(share, sent_per_second, now)
        elif share <= TOLERABLE_SHARE and not self._trial:
            self._speed_up(sent_per_second, now)

    def _try_slower(self, share: float, sent_per_second: float, now: float) -> None:
        if share > TELLING_SHARE:
            self._trial = None
            self._taken_per_second = 0.0
            pace = max(sent_per_second / LARGEST_STEP_DOWN, LEAST_WHILE_ALL_REFUSED)
        else:
            if not self._trial:
                self._trial = _Trial(self.per_second, share)
            elif share > LOSING_SHARE:
                self._trial.start_over(share)
            self._taken_per_second = (1 - share) * sent_per_second
            pace = SLOWER * self._taken_per_second
        self.per_second = max(min(pace, sent_per_second), LEAST_PER_SECOND)
        self._slower_at = now

    def _end_trial(self, sent_per_second: float, now: float) -> bool:
        """Whether it was in vain: the pace is on its way back to what it was."""
        trial, self._trial = self._trial, None
        if not trial or not trial.was_in_vain():
            return False
        self.per_second = min(trial.pace_before, max(sent_per_second, 2 * self.per_second))
        self._taken_per_second = 0.0
        self._patient_until = now + PATIENT_SECONDS
        return True

    def _speed_up(self, sent_per_second: float, now: float) -> None:
        is_known = now - self._slower_at < KNOWN_SECONDS
        if is_known and self.per_second < KNOWN_LIMIT * self._taken_per_second:
            self.per_second += QUICKER_SHARE * self.per_second
            self.per_second += min(QUICKER_PER_SECOND, QUICKER_MOST_SHARE * self.per_second)
        elif sent_per_second < self.per_second / 2:
            self.per_second = math.inf  # it holds nobody back
        else:
            self.per_second *= 2
