"""Whether a connection waits in vain, by comparing how it is with how it was. Pure: the caller passes the time."""

from __future__ import annotations

from typing import NamedTuple

from snapdir.stores.s3.http.errors import FirstByteTimeout, StallTimeout, TooSlow, WorkTimeout
from snapdir.stores.s3.http.line import LineRate
from snapdir.stores.s3.http.rate_floor import RateFloor
from snapdir.stores.s3.http.timeouts import Timeouts

__all__ = ["Expired", "Look", "Watch"]

Expired = type[StallTimeout | FirstByteTimeout | TooSlow | WorkTimeout]


class Look(NamedTuple):
    """One exchange at one moment.

    Attributes:
        exchange: Its number on its connection.
        activity: Changes whenever something moves.
        sent: Bytes of the body that have left this process, and ``unsent`` those that the server's host has not got.
        is_sending: The request has not left whole.
        reads_disk: Nothing can leave before a disk has brought it.
        received: Bytes of the response.
        patience_seconds: How long the answer may take where the server works on it for minutes; else 0.
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
    """Looks after the time limits of one connection."""

    def __init__(self, timeouts: Timeouts, now: float, line: LineRate) -> None:
        self._timeouts = timeouts
        self._line = line
        self._floor = RateFloor(timeouts.min_bytes_per_second, timeouts.rate_seconds)
        self._activity = self._unsent = self._moved = 0
        self._seen_at = self._looked_at = self._began_at = now
        self._exchange = 0

    def passes(self, now: float) -> None:
        """A thread has the body, and looks after it: a slow disk is no slow server."""
        self._seen_at = now
        self._exchange = 0

    def is_idle_for_long(self, now: float, activity: int) -> bool:
        """Whether a connection without an exchange is to be closed."""
        if activity != self._activity:
            self._activity, self._seen_at = activity, now
        return now - self._seen_at >= self._timeouts.idle_seconds

    def expired(self, now: float, look: Look) -> tuple[Expired, float] | None:
        """Which limit an exchange has reached, and its seconds; None while it may go on."""
        if look.exchange != self._exchange:
            self._begin(now, look)
        if look.patience_seconds:
            if not look.is_sending:
                is_over = now - self._began_at >= look.patience_seconds
                return (WorkTimeout, look.patience_seconds) if is_over else None
        elif self._drips(now, look):
            return TooSlow, self._floor.window_seconds
        if (look.activity, look.unsent) != (self._activity, self._unsent):
            self._activity, self._unsent, self._seen_at = look.activity, look.unsent, now
            return None
        limit: tuple[Expired, float] = StallTimeout, self._timeouts.stall_seconds
        if not look.is_sending and not look.received:
            on_its_way = self._line.seconds_for(look.sent)  # something in between may have all of the body
            limit = FirstByteTimeout, self._timeouts.first_byte_seconds + on_its_way
        return limit if now - self._seen_at >= limit[1] else None

    def _begin(self, now: float, look: Look) -> None:
        self._exchange, self._began_at = look.exchange, now
        self._floor.restart()
        self._moved, self._looked_at = look.moved, now

    def _drips(self, now: float, look: Look) -> bool:
        """Whether too little moves, while something is due: a server may take its time before it answers."""
        moved, seconds = max(0, look.moved - self._moved), now - self._looked_at
        self._moved, self._looked_at = look.moved, now
        if look.reads_disk or not (look.is_sending or look.received):
            return False
        return self._floor.is_below(moved, seconds)
