"""How hard a store may be asked: requests in flight, requests a second, bytes a second."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from snapdir.errors import ConnectionFailed, Throttled
from snapdir.stores.base import Body, ObjectInfo, Page, Store, Upload, body_length, close_pages
from snapdir.stores.blocks import BlockSink
from snapdir.stores.request_pace import RequestPace
from snapdir.stores.request_window import RequestWindow
from snapdir.stores.wrapper import StoreWrapper

__all__ = ["LimitingStore", "TokenBucket"]


class TokenBucket:
    """``rate_per_second`` tokens a second, one second's worth of them at once at most.

    A wish larger than that passes too: it goes into debt, and later ones wait until it is paid.
    """

    def __init__(
        self,
        rate_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._rate = rate_per_second
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock() - 1.0  # full

    async def take(self, tokens: float) -> None:
        """Wait until the bucket is not in debt, then take ``tokens``. First come, first served.

        Cancelled, it takes none; who waits already waits as long as before.
        """
        now = self._clock()
        begin = max(self._free_at, now - 1.0)
        self._free_at = begin + tokens / self._rate
        if begin > now:
            try:
                await self._sleep(begin - now)
            except BaseException:
                self._free_at -= tokens / self._rate
                raise


class LimitingStore(StoreWrapper):
    """``inner``, asked no harder than a window, a pace and two buckets allow.

    Args:
        window: Requests in flight; shrinks while connections to ``inner`` fail.
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

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        pages = self.inner.list(prefix, start_after=start_after, resume=resume)
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
        await self._window.acquire()
        moved_bytes, is_refused = 0, False
        try:
            # The strictest last: what waited for the others goes out in one burst, of a window at most.
            if self._bytes is not None and length:
                await self._bytes.take(length)
            await self._pace.turn()
            if self._requests is not None:
                await self._requests.take(1)
            if self._pace.per_second < math.inf:
                self._window.disregard()
            era = self._pace.sent()
            try:
                yield
            except Throttled:
                is_refused = True
                self._pace.throttled(era)
                raise
            except ConnectionFailed:
                self._window.failed()
                raise
            moved_bytes = length
        finally:
            self._window.release(moved_bytes, is_refused=is_refused)


class _LimitedUpload:
    def __init__(self, inner: Upload, store: LimitingStore) -> None:
        self._inner = inner
        self._store = store
        self.resume_token = inner.resume_token

    @property
    def held_bytes(self) -> int:
        return self._inner.held_bytes

    async def adopt_part(self, number: int, body: Body) -> bool:
        return await self._inner.adopt_part(number, body)

    async def write_part(self, number: int, body: Body) -> None:
        if await self._inner.adopt_part(number, body):
            return  # no request, and nothing to wait for
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

    def keep(self) -> None:
        self._inner.keep()
