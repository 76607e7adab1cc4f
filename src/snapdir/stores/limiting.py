"""How hard a store may be asked: requests in flight, requests a second, bytes a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import anyio

from snapdir.errors import ConnectionFailed, StoreError, Throttled
from snapdir.model.sizes import KIB
from snapdir.stores.base import Body, ObjectInfo, Store, Upload, body_length, close_pages
from snapdir.stores.blocks import BlockSink
from snapdir.stores.request_pace import RequestPace
from snapdir.stores.wrapper import StoreWrapper

__all__ = ["LimitingStore", "RequestWindow", "TokenBucket"]

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

START_REQUESTS = 32
REQUESTS_A_LOOK = 4
"""The window's effect is judged after this many requests for each place in it."""
WORTHWHILE_GAIN = 1.05
HOLD_SECONDS = 5.0
"""After a step that did not pay, or after failures, the window stays as it is for this long."""
FAILURES_TO_NARROW = 4
NARROWING_SHARE = 1 / 8
"""The window is halved when so many requests since it was last judged, and such a share of them, got no answer."""
LEAST_NARROWED = 8
"""Failures do not narrow the window below this: each may cost a whole timeout."""
REQUEST_COST_BYTES = 64 * KIB
"""A request counts as this many bytes besides its own, so that small and large ones can be added up."""


class RequestWindow:
    """Requests in flight: from ``start`` up while that makes it faster, half of it when many get no answer.

    First come, first served. For one event loop. Costs 0.25 µs a request that need not wait.

    Args:
        share: Of the requests that made it faster, how many to stay with once more of them do not: 1.0 is all, less
            leaves room for others.

    Attributes:
        limit: Requests that may be in flight now; never below 1.
    """

    def __init__(
        self, maximum: int, *, start: int = START_REQUESTS, share: float = 1.0, clock: Clock = time.monotonic
    ) -> None:
        self.limit = min(start, maximum)
        self._share = share
        self._useful = self.limit
        self._maximum = maximum
        self._clock = clock
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._done = 0
        self._moved_bytes = 0
        self._began = clock()
        self._best_rate = 0.0
        self._hold_until = 0.0
        self._was_full = False
        self._failed = 0

    async def acquire(self) -> None:
        """Take a place, waiting for one if need be. Cancellation takes none."""
        if self._in_flight < self.limit and not self._waiting:
            self._in_flight += 1
            return
        self._was_full = True
        given = asyncio.get_running_loop().create_future()  # once a request: 2.2 µs, an anyio.Event takes 5.6
        self._waiting.append(given)
        try:
            await given
        except BaseException:
            if given.done() and not given.cancelled():
                self._in_flight -= 1
                self._give()
            else:
                with suppress(ValueError):  # _give has met it already
                    self._waiting.remove(given)
            raise

    def release(self, moved_bytes: int = 0) -> None:
        """Give the place back after a request that moved so many bytes."""
        self._in_flight -= 1
        self._done += 1
        self._moved_bytes += moved_bytes + REQUEST_COST_BYTES
        if self._done >= REQUESTS_A_LOOK * self.limit:
            self._look()
        self._give()

    def failed(self) -> None:
        """A request got no answer. Half of the window when that is no exception."""
        self._failed += 1
        if self._failed >= max(FAILURES_TO_NARROW, NARROWING_SHARE * self._done):
            self.limit = min(self.limit, max(LEAST_NARROWED, self.limit // 2))
            now = self._clock()
            self._hold_until = now + HOLD_SECONDS
            self._best_rate = 0.0  # what a wider window achieved says nothing any more
            self._start_over(now)

    def _look(self) -> None:
        """Widen the window if it was full, and if the last step made things faster."""
        now = self._clock()
        rate = self._moved_bytes / max(now - self._began, 1e-6)
        if self._was_full and now >= self._hold_until and self.limit < self._maximum:
            if rate > self._best_rate * WORTHWHILE_GAIN:
                self._useful = self.limit
                self.limit = min(self._maximum, self.limit + max(1, self.limit // 2))
            else:
                self._hold_until = now + HOLD_SECONDS
                if self._share < 1.0:
                    self.limit = max(1, int(self._share * self._useful))
        self._best_rate = max(rate, self._best_rate)
        self._start_over(now)

    def _start_over(self, now: float) -> None:
        self._began = now
        self._done = self._moved_bytes = self._failed = 0
        self._was_full = bool(self._waiting)

    def _give(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            given = self._waiting.popleft()
            if not given.cancelled():
                self._in_flight += 1
                given.set_result(None)


class TokenBucket:
    """``rate_per_second`` tokens a second, one second's worth of them at once at most.

    A wish larger than that passes too: it goes into debt, and later ones wait until it is paid.
    """

    def __init__(self, rate_per_second: float, *, clock: Clock = time.monotonic, sleep: Sleep = anyio.sleep) -> None:
        self._rate = rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock() - 1.0  # full

    async def take(self, tokens: float) -> None:
        """Wait until the bucket is not in debt, then take ``tokens``. First come, first served."""
        now = self._clock()
        begin = max(self._free_at, now - 1.0)
        self._free_at = begin + tokens / self._rate
        if begin > now:
            await self._sleep(begin - now)


class LimitingStore(StoreWrapper):
    """``inner``, asked no harder than a window, a pace and two buckets allow.

    Args:
        window: Requests in flight; shrinks while ``inner`` does not answer.
        pace: Requests a second; slows down while ``inner`` says Throttled. None is one of its own.
        bytes_bucket, requests_bucket: None where there is no limit.
    """

    def __init__(
        self,
        inner: Store,
        window: RequestWindow,
        *,
        bytes_bucket: TokenBucket | None = None,
        requests_bucket: TokenBucket | None = None,
        pace: RequestPace | None = None,
    ) -> None:
        super().__init__(inner)
        self._window = window
        self._pace = pace or RequestPace()
        self._bytes = bytes_bucket
        self._requests = requests_bucket

    async def stat(self, key: str) -> ObjectInfo:
        async with self.place(0):
            return await self.inner.stat(key)

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[Sequence[ObjectInfo]]:
        pages = self.inner.list(prefix, start_after=start_after)
        try:
            while True:
                async with self.place(0):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page
        finally:
            await close_pages(pages)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        async with self.place(length or 0):
            return await self.inner.read(key, start=start, length=length)

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        async with self.place(len(buffer)):
            return await self.inner.read_into(key, buffer, start=start)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        async with self.place(length):
            await self.inner.read_through(key, sink, start=start, length=length)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        async with self.place(body_length(body)):
            return await self.inner.write(key, body, if_absent=if_absent)

    async def copy_from(self, key: str, source: str) -> None:
        async with self.place(0):
            await self.inner.copy_from(key, source)

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        async with self.place(0):
            upload = await self.inner.begin_upload(key, size=size, part_bytes=part_bytes, resume=resume)
        return _LimitedUpload(upload, self)

    async def delete(self, keys: Sequence[str]) -> None:
        async with self.place(0):
            await self.inner.delete(keys)

    @asynccontextmanager
    async def place(self, length: int) -> AsyncIterator[None]:
        """Room for one request that moves ``length`` bytes."""
        if self._requests is not None:
            await self._requests.take(1)
        if self._bytes is not None and length:
            await self._bytes.take(length)
        await self._window.acquire()
        try:
            of_round = await self._pace.turn()
            try:
                yield
            except ConnectionFailed:
                self._window.failed()
                raise
            except Throttled:
                self._pace.answered(of_round, throttled=True)
                raise
            except StoreError:
                self._pace.answered(of_round)
                raise
            self._pace.answered(of_round)
        finally:
            self._window.release(length)


class _LimitedUpload:
    def __init__(self, inner: Upload, store: LimitingStore) -> None:
        self._inner = inner
        self._store = store
        self.resume_token = inner.resume_token

    async def write_part(self, number: int, body: Body) -> None:
        async with self._store.place(body_length(body)):
            await self._inner.write_part(number, body)

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        async with self._store.place(0):
            await self._inner.copy_part(number, source, start=start, length=length)

    async def commit(self) -> None:
        async with self._store.place(0):
            await self._inner.commit()

    async def abort(self) -> None:
        async with self._store.place(0):
            await self._inner.abort()
