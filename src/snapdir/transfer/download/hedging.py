"""Hedged requests: if a request of a large download is late, a second fetches the rest; the first to end wins."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from snapdir.transfer.download.assembly import Assembly, Segment

LATE_SECONDS = 2.0
LATE_FACTOR = 4
"""A request is late after LATE_SECONDS, and after LATE_FACTOR times as long as such a request usually takes."""
LATE_LOOK_SECONDS = 0.2


class HedgedRequest:
    """A request in flight for a segment, and its hedge: a second request for the bytes that are still missing.

    Attributes:
        written: Bytes of the segment that the first request has written.
        scope: Cancelled when the hedge ends first.
        hedge: The scope of the hedge, once there is one.
    """

    def __init__(self, assembly: Assembly, segment: Segment) -> None:
        self.assembly = assembly
        self.segment = segment
        self.written = 0
        self.began = time.monotonic()
        self.scope = anyio.CancelScope()
        self.hedge: anyio.CancelScope | None = None
        self._hedge_ended = anyio.Event()
        self._turn = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def write(self, data: memoryview) -> None:
        with self._turn:
            self.assembly.write(self.segment, data, self.written)
            self.written += len(data)

    def write_hedge(self, rest: Segment, data: memoryview, done: int) -> None:
        """Write the bytes that the first request has not written: its own may be hashed already, and must stay."""
        with self._turn:
            stale = max(0, self.segment.offset + self.written - rest.offset - done)
            if stale < len(data):
                self.assembly.write(rest, data[stale:], done + stale)

    @contextmanager
    def hedging(self) -> Iterator[None]:
        """The time of the hedge; ``stop_hedge`` cancels the block."""
        self.hedge = anyio.CancelScope()
        try:
            with self.hedge:
                yield
        finally:
            self._hedge_ended.set()

    async def stop_hedge(self) -> None:
        """Stop the hedge and wait until it no longer writes; only then may the object be published or dropped."""
        if self.hedge is not None:
            self.hedge.cancel()
            await self._hedge_ended.wait()


class RequestsInFlight:
    """The requests in flight, and how long they usually take. For one event loop."""

    def __init__(self) -> None:
        self._in_flight: list[HedgedRequest] = []
        self._ended = anyio.Event()
        self._received_bytes = 0
        self._request_seconds = 0.0

    def begin(self, assembly: Assembly, segment: Segment) -> HedgedRequest:
        """A request that starts now; the caller must ``end`` it."""
        request = HedgedRequest(assembly, segment)
        self._in_flight.append(request)
        return request

    def arrived(self, request: HedgedRequest) -> None:
        """Count a request that has received all of its segment."""
        self._received_bytes += request.segment.length
        self._request_seconds += request.seconds

    def end(self, request: HedgedRequest) -> None:
        self._in_flight.remove(request)
        self._ended.set()
        self._ended = anyio.Event()

    async def next_late(self) -> HedgedRequest | None:
        """Wait until a request without a hedge is late; None when no such request is left."""
        while unhedged := [request for request in self._in_flight if request.hedge is None]:
            longest = max(unhedged, key=lambda request: request.seconds)
            if self._is_late(longest):
                return longest
            with anyio.move_on_after(LATE_LOOK_SECONDS):
                await self._ended.wait()
        return None

    def _is_late(self, request: HedgedRequest) -> bool:
        if not self._received_bytes:
            return False
        usual_seconds = self._request_seconds * request.segment.length / self._received_bytes
        return usual_seconds > 0 and request.seconds > max(LATE_SECONDS, LATE_FACTOR * usual_seconds)
