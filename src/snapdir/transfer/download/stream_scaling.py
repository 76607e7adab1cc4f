"""Whether more streams would be faster: they are if the network is the limit, not the processors."""

from __future__ import annotations

import time
from typing import NamedTuple

from snapdir.model.sizes import MIB

IDLE_SHARE = 0.5
"""If this share of the processors' time is left, they are not the limit."""
SLOW_STREAM_BYTES_PER_SECOND = 100 * MIB
"""The network is the limit only if a stream is slower: on a busy machine a process looks idle too. S3 gives a
connection about 80 MB/s."""

GROWTH_FACTOR = 1.5
"""While each look sees a rate that has grown by this factor, streams are still starting. Over TLS to a server on the
same machine that lasts 50 ms; doubling the streams then costs a tenth more CPU. If no byte comes for two looks, the
server is far away, and so slow."""


class Moment(NamedTuple):
    """The work of this process so far.

    Attributes:
        cpu_seconds: Of all threads.
        loop_cpu_seconds: Of the thread of the loop.
    """

    clock_seconds: float
    cpu_seconds: float
    loop_cpu_seconds: float
    received_bytes: int

    @classmethod
    def now(cls, received_bytes: int) -> Moment:
        """Now; called in the thread of the loop."""
        return cls(time.monotonic(), time.process_time(), time.thread_time(), received_bytes)

    def bytes_per_second_since(self, before: Moment) -> float:
        """Received since ``before``; 0 if no time has passed."""
        seconds = self.clock_seconds - before.clock_seconds
        return (self.received_bytes - before.received_bytes) / seconds if seconds > 0 else 0.0


class StreamScaling:
    """Watches a number of streams on ``cpus`` processors from ``start`` on."""

    def __init__(self, streams: int, cpus: int, start: Moment) -> None:
        self._streams = streams
        self._cpus = cpus
        self._last = start
        self._last_rate: float | None = None
        self._steady: Moment | None = None

    def observe(self, now: Moment) -> bool:
        """Whether the network is the limit by ``now``. False while streams are starting."""
        if self._steady is None:
            self._await_steady(now)
            return False
        seconds = now.clock_seconds - self._steady.clock_seconds
        idle = now.cpu_seconds - self._steady.cpu_seconds < (1 - IDLE_SHARE) * seconds * self._cpus
        # If the thread of the loop is the limit, more streams do not help.
        idle = idle and now.loop_cpu_seconds - self._steady.loop_cpu_seconds < (1 - IDLE_SHARE) * seconds
        return idle and now.bytes_per_second_since(self._steady) < SLOW_STREAM_BYTES_PER_SECOND * self._streams

    def _await_steady(self, now: Moment) -> None:
        before, self._last_rate = self._last_rate, now.bytes_per_second_since(self._last)
        if before is not None and self._last_rate <= GROWTH_FACTOR * before:
            self._steady = self._last
        self._last = now
