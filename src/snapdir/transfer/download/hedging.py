"""Requests of a large pull under way: which of them are late, and the second one that may overtake a late one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from snapdir.transfer.download.assembly import Assembly, Segment

__all__ = ["HedgedRequest", "RequestsInFlight"]

LATE_SECONDS = 2.0
LATE_FACTOR = 4
"""A request is late, and a second one is made for what it lacks, after both: so long, and so many times the usual."""
LATE_LOOK_SECONDS = 0.2


class HedgedRequest:
    """A request under way for a segment, and the one that may overtake it.

    Attributes:
        written: Bytes of the segment that its own request has written.
    """

    def __init__(self, assembly: Assembly, segment: Segment) -> None:
        self.assembly = assembly
        self.segment = segment
        self.written = 0
        self.began = time.monotonic()
        self.scope = anyio.CancelScope()
        self.second: anyio.CancelScope | None = None
        self._second_ended = anyio.Event()
        self._turn = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def write(self, data: memoryview) -> None:
        with self._turn:
            self.assembly.write(self.segment, data, self.written)
            self.written += len(data)

    def write_second(self, rest: Segment, data: memoryview, done: int) -> None:
        """Write what the first request has not written: its bytes may be hashed already, and must stay."""
        with self._turn:
            stale = max(0, self.segment.offset + self.written - rest.offset - done)
            if stale < len(data):
                self.assembly.write(rest, data[stale:], done + stale)

    @contextmanager
    def overtaking(self) -> Iterator[None]:
        """The second request, until the first is done; then the scope is cancelled."""
        self.second = anyio.CancelScope()
        try:
            with self.second:
                yield
        finally:
            self._second_ended.set()

    async def stop_second(self) -> None:
        """Return when no second request writes any more: only then may the object be placed, or let go."""
        if self.second is not None:
            self.second.cancel()
            await self._second_ended.wait()


class RequestsInFlight:
    """The requests under way, and how long they usually take. For one event loop."""

    def __init__(self) -> None:
        self._under_way: list[HedgedRequest] = []
        self._landed = anyio.Event()
        self._flown_bytes = 0
        self._flown_seconds = 0.0

    def begin(self, assembly: Assembly, segment: Segment) -> HedgedRequest:
        """A request that is made now; ``end`` it, whatever becomes of it."""
        flight = HedgedRequest(assembly, segment)
        self._under_way.append(flight)
        return flight

    def arrived(self, flight: HedgedRequest) -> None:
        """A request has brought all of its segment."""
        self._flown_bytes += flight.segment.length
        self._flown_seconds += flight.seconds

    def end(self, flight: HedgedRequest) -> None:
        """A request is over."""
        self._under_way.remove(flight)
        self._landed.set()
        self._landed = anyio.Event()

    async def late(self) -> HedgedRequest | None:
        """Wait for a request to be late that no second one was made for; None when there is none left."""
        while waiting := [flight for flight in self._under_way if flight.second is None]:
            longest = max(waiting, key=lambda flight: flight.seconds)
            if self._is_late(longest):
                return longest
            with anyio.move_on_after(LATE_LOOK_SECONDS):
                await self._landed.wait()
        return None

    def _is_late(self, flight: HedgedRequest) -> bool:
        usual_seconds = self._flown_seconds * flight.segment.length / self._flown_bytes if self._flown_bytes else 0.0
        return usual_seconds > 0 and flight.seconds > max(LATE_SECONDS, LATE_FACTOR * usual_seconds)
