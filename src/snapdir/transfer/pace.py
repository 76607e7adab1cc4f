"""Whether more streams would bring more: what the network leaves undone, told from what the processors do."""

from __future__ import annotations

import time
from typing import NamedTuple

from snapdir.model.sizes import MIB

__all__ = ["Moment", "Pace"]

IDLE_SHARE = 0.5
SLOW_STREAM_BYTES_PER_SECOND = 100 * MIB
"""While so much of the processors' time is left, and a stream brings less, the network is what is waited for. S3 gives
a connection about 80 MB/s; a busy machine looks idle to a process that gets no turn."""

GROWTH = 1.5
"""New streams look idle until their first bytes are there: while each look sees so much more than the one before,
nothing can be said. Over TLS to a server on the same machine that lasts 50 ms, and streams were doubled in vain: 2.30 s
of CPU for 1 GiB instead of 2.02."""


class Moment(NamedTuple):
    """What one process has done so far.

    Attributes:
        clock: Seconds.
        worked: Seconds of CPU, of all threads.
        looped: Seconds of CPU, of the thread that asks.
        received: Bytes.
    """

    clock: float
    worked: float
    looped: float
    received: int

    @classmethod
    def now(cls, received: int) -> Moment:
        """This one, in the thread of the loop."""
        return cls(time.monotonic(), time.process_time(), time.thread_time(), received)

    def rate_since(self, before: Moment) -> float:
        """Bytes a second."""
        return (self.received - before.received) / (self.clock - before.clock)


class Pace:
    """Of a number of streams, from ``start`` on; ``cpus`` are there for them."""

    def __init__(self, streams: int, cpus: int, start: Moment) -> None:
        self._streams = streams
        self._cpus = cpus
        self._last = start
        self._last_rate: float | None = None
        self._steady: Moment | None = None

    def is_slow(self, now: Moment) -> bool:
        """The network is what is waited for, as far as has been seen. Asked from time to time; never so at first."""
        if self._steady is None:
            self._grow(now)
            return False
        seconds = now.clock - self._steady.clock
        idle = now.worked - self._steady.worked < (1 - IDLE_SHARE) * seconds * self._cpus
        # What only the loop's thread can do is not done sooner by more streams.
        idle = idle and now.looped - self._steady.looped < (1 - IDLE_SHARE) * seconds
        return idle and now.rate_since(self._steady) < SLOW_STREAM_BYTES_PER_SECOND * self._streams

    def _grow(self, now: Moment) -> None:
        before, self._last_rate = self._last_rate, now.rate_since(self._last)
        if before is not None and self._last_rate <= GROWTH * before:
            self._steady = self._last
        self._last = now
