"""Time limits of a connection, and whether one has been reached. Pure: the caller passes the time."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

from snapdir.model.sizes import KIB
from snapdir.stores.s3.http.errors import FirstByteTimeout, StallTimeout, TooSlow, WorkTimeout

ASSUMED_BYTES_PER_SECOND = 64 * KIB
"""Assumed until responses show more. A slower line needs a longer --stall-timeout, or smaller parts."""

TELLING_BYTES = 256 * KIB
"""The response to a shorter body takes a round trip at any rate of the line."""

MARGIN = 4
"""How much slower the next body may be, because other bodies share the line."""

Expired = type[StallTimeout | FirstByteTimeout | TooSlow | WorkTimeout]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait; all finite. A limit is noticed at most half of itself late, and at most 2 s.

    Attributes:
        connect_seconds: For a connection: name state-up, every address tried, TLS handshake.
        first_byte_seconds: From the last byte of a request reaching the server's host to the first of its response;
            longer after a long body (see ``LineRate``).
        stall_seconds: Without any byte moving, during a request or a response.
        idle_seconds: An unused connection is closed after this; servers do it themselves a little later.
        resolve_seconds: A name's addresses are looked up again after this.
        min_bytes_per_second: The lowest rate, on the average of ``rate_seconds``; 0 for none.
    """

    connect_seconds: float = 10.0
    first_byte_seconds: float = 30.0
    stall_seconds: float = 20.0
    idle_seconds: float = 15.0
    resolve_seconds: float = 60.0
    min_bytes_per_second: float = 1024.0

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if field.name.endswith("_seconds") and not 0 < seconds < math.inf:
                raise ValueError(f"{field.name} must be positive and finite, not {seconds}")

    @property
    def rate_seconds(self) -> float:
        """The period of an average rate: a minute, or more if long pauses are allowed."""
        return max(60.0, 3 * self.stall_seconds)

    @property
    def sweep_seconds(self) -> float:
        """How often connections are checked."""
        return min(1.0, self.first_byte_seconds / 4, self.stall_seconds / 4, self.idle_seconds / 4)


class RateFloor:
    """The lowest rate of a transfer, on the average of some time.

    Args:
        bytes_per_second: 0 lets anything pass.
        window_seconds: The period of the average. A rate that is too low is noticed after one to two periods.
    """

    def __init__(self, bytes_per_second: float, window_seconds: float) -> None:
        self.bytes_per_second = bytes_per_second
        self.window_seconds = window_seconds
        self._bytes = 0
        self._seconds = 0.0

    def is_below(self, moved_bytes: int, seconds: float) -> bool:
        """Whether the rate is too low, after ``moved_bytes`` more in the next ``seconds`` of waiting for them."""
        self._bytes += moved_bytes
        self._seconds += seconds
        if self._seconds < self.window_seconds:
            return False
        is_below = self._bytes < self.bytes_per_second * self._seconds
        self.restart()
        return is_below

    def restart(self) -> None:
        """Start a new period."""
        self._bytes = 0
        self._seconds = 0.0


class LineRate:
    """The rate of the line to a server, which limits how long the response to a body may take.

    A tunnel or a proxy may accept a body at once and forward it slowly: the response comes only after the slow part.
    """

    def __init__(self) -> None:
        self._bytes_per_second: float = ASSUMED_BYTES_PER_SECOND

    def answered(self, body_bytes: int, seconds: float) -> None:
        """Note that the response to a body came ``seconds`` after its first byte was sent."""
        if body_bytes >= TELLING_BYTES:
            self._bytes_per_second = max(ASSUMED_BYTES_PER_SECOND, body_bytes / max(seconds, 1e-3) / MARGIN)

    def seconds_for(self, body_bytes: int) -> float:
        """Seconds that a body of that length may take to arrive."""
        return body_bytes / self._bytes_per_second


class ExchangeState(NamedTuple):
    """One exchange at one moment.

    Attributes:
        exchange: Its number on its connection.
        activity: Changes whenever bytes move.
        sent: Bytes of the body that have left this process; ``unsent`` of them have not reached the server's host.
        is_sending: Part of the request has not left yet.
        reads_disk: The next bytes are still being read from a disk.
        received: Bytes of the response.
        patience_seconds: How long the response may take if the server works on it for minutes; else 0.
    """

    exchange: int
    activity: int
    sent: int
    unsent: int
    is_sending: bool
    reads_disk: bool
    received: int
    patience_seconds: float

    @property
    def moved(self) -> int:
        return self.received + self.sent - self.unsent


class Watch:
    """Watches the time limits of one connection."""

    def __init__(self, timeouts: Timeouts, now: float, line: LineRate) -> None:
        self._timeouts = timeouts
        self._line = line
        self._floor = RateFloor(timeouts.min_bytes_per_second, timeouts.rate_seconds)
        self._activity = self._unsent = self._moved = 0
        self._seen_at = self._looked_at = self._began_at = now
        self._exchange = 0

    def passes(self, now: float) -> None:
        """A thread receives the body and watches its limits; time spent in the sink does not count."""
        self._seen_at = now
        self._exchange = 0

    def is_idle_for_long(self, now: float, activity: int) -> bool:
        """Whether a connection without an exchange is to be closed."""
        if activity != self._activity:
            self._activity, self._seen_at = activity, now
        return now - self._seen_at >= self._timeouts.idle_seconds

    def expired(self, now: float, state: ExchangeState) -> tuple[Expired, float] | None:
        """The limit that an exchange has reached, and its seconds; None if it may go on."""
        if state.exchange != self._exchange:
            self._begin(now, state)
        if state.patience_seconds:
            if not state.is_sending:
                is_over = now - self._began_at >= state.patience_seconds
                return (WorkTimeout, state.patience_seconds) if is_over else None
        elif self._is_too_slow(now, state):
            return TooSlow, self._floor.window_seconds
        if (state.activity, state.unsent) != (self._activity, self._unsent):
            self._activity, self._unsent, self._seen_at = state.activity, state.unsent, now
            return None
        limit: tuple[Expired, float] = StallTimeout, self._timeouts.stall_seconds
        if not state.is_sending and not state.received:
            on_its_way = self._line.seconds_for(state.sent)  # something in between may have all of the body
            limit = FirstByteTimeout, self._timeouts.first_byte_seconds + on_its_way
        return limit if now - self._seen_at >= limit[1] else None

    def _begin(self, now: float, state: ExchangeState) -> None:
        self._exchange, self._began_at = state.exchange, now
        self._floor.restart()
        self._moved, self._looked_at = state.moved, now

    def _is_too_slow(self, now: float, state: ExchangeState) -> bool:
        """Whether data is expected and arrives too slowly."""
        moved, seconds = max(0, state.moved - self._moved), now - self._looked_at
        self._moved, self._looked_at = state.moved, now
        if state.reads_disk or not (state.is_sending or state.received):
            return False
        return self._floor.is_below(moved, seconds)
