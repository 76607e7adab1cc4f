"""Whether more streams would bring more: what the network leaves undone, told from what the processors do."""

from __future__ import annotations

import time
from typing import NamedTuple

from snapdir.model.sizes import MIB

__all__ = ["Moment", "StreamScaling"]

IDLE_SHARE = 0.5
"""While so much of the processors' time is left, something else is waited for."""
SLOW_STREAM_BYTES_PER_SECOND = 100 * MIB
"""It is the network where a stream brings less: a busy machine looks idle to a process that gets no turn. S3 gives a
connection about 80 MB/s."""

GROWTH_FACTOR = 1.5
"""While bytes have begun to come, and each look sees so much more of them than the one before, nothing can be said.
Over TLS to a server on the same machine that lasts 50 ms, and streams were doubled in vain: a tenth more CPU. A server
that is so far that no byte comes for two looks is slow."""


class Moment(NamedTuple):
    """What one process has done so far.

    Attributes:
        cpu_seconds: Of all threads.
        loop_cpu_seconds: Of the thread that asks.
    """

    clock_seconds: float
    cpu_seconds: float
    loop_cpu_seconds: float
    received_bytes: int

    @classmethod
    def now(cls, received_bytes: int) -> Moment:
        """This one, in the thread of the loop."""
        return cls(time.monotonic(), time.process_time(), time.thread_time(), received_bytes)

    def bytes_per_second_since(self, before: Moment) -> float:
        """Of what was received; 0 where no time has passed."""
        seconds = self.clock_seconds - before.clock_seconds
        return (self.received_bytes - before.received_bytes) / seconds if seconds > 0 else 0.0


class StreamScaling:
    """Of a number of streams, from ``start`` on; ``cpus`` are there for them."""

    def __init__(self, streams: int, cpus: int, start: Moment) -> None:
        self._streams = streams
        self._cpus = cpus
        self._last = start
        self._last_rate: float | None = None
        self._steady: Moment | None = None

    def observe(self, now: Moment) -> bool:
        """Take in one more moment: whether by now the network is what is waited for. Never so at first."""
        if self._steady is None:
            self._await_steady(now)
            return False
        seconds = now.clock_seconds - self._steady.clock_seconds
        idle = now.cpu_seconds - self._steady.cpu_seconds < (1 - IDLE_SHARE) * seconds * self._cpus
        # What only the loop's thread can do is not done sooner by more streams.
        idle = idle and now.loop_cpu_seconds - self._steady.loop_cpu_seconds < (1 - IDLE_SHARE) * seconds
        return idle and now.bytes_per_second_since(self._steady) < SLOW_STREAM_BYTES_PER_SECOND * self._streams

    def _await_steady(self, now: Moment) -> None:
        before, self._last_rate = self._last_rate, now.bytes_per_second_since(self._last)
        if before is not None and self._last_rate <= GROWTH_FACTOR * before:
            self._steady = self._last
        self._last = now
