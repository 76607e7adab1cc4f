"""A store across a network: its requests are limited, and retried after failures that may pass."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from snapdir.errors import ConnectionFailed, Throttled
from snapdir.model.sizes import MIB
from snapdir.stores.base import Body, BodyCutShort, ObjectInfo, Page, Store, Upload, body_length
from snapdir.stores.blocks import BlockSink
from snapdir.stores.concurrency import ConcurrencyLimit
from snapdir.stores.listing import ResumedListing
from snapdir.stores.rate import AdaptiveRate, RateLimit
from snapdir.stores.retry import Retries
from snapdir.stores.wrapper import StoreWrapper

Result = TypeVar("Result")

PIECE_SECONDS = 0.25
LEAST_PIECE_BYTES = MIB
"""Of a long read with a limited rate of bytes, a request has what the rate gives in PIECE_SECONDS, or this much."""


class RemoteStore(StoreWrapper):
    """``inner`` with limits and retries. Every call keeps its promises across attempts.

    A ``write`` with ``if_absent`` whose first response got lost may report False for an object it wrote itself; that
    the object is there is true either way.

    Args:
        concurrency: Requests in flight; by default up to what ``inner`` can take.
        rate: Requests per second; by default unlimited until ``inner`` throttles.
        byte_rate: Bytes per second, up and down together; by default unlimited.
    """

    def __init__(
        self,
        inner: Store,
        retries: Retries | None = None,
        *,
        concurrency: ConcurrencyLimit | None = None,
        rate: AdaptiveRate | None = None,
        byte_rate: RateLimit | None = None,
    ) -> None:
        super().__init__(inner)
        self._retried = (retries or Retries()).run
        self._concurrency = concurrency or ConcurrencyLimit(inner.capabilities.max_concurrency)
        self._rate = rate or AdaptiveRate()
        self._byte_rate = byte_rate or RateLimit(math.inf)

    async def stat(self, key: str) -> ObjectInfo:
        return await self.request(partial(self.inner.stat, key))

    async def list(
        self, prefix: str, *, start_after: str = "", resume: str | None = None
    ) -> AsyncGenerator[Page, None]:
        """Pages of ``inner``. A failed listing continues after the last page; each page has its own attempts."""

        def begin(resume: str | None) -> AsyncIterator[Page]:
            return self.inner.list(prefix, start_after=start_after, resume=resume)

        async with aclosing(ResumedListing(begin, resume, self._limited)) as pages:
            while page := await self._retried(pages.next_new):
                yield page

    async def folders(self, prefix: str) -> Sequence[str]:
        return await self.request(partial(self.inner.folders, prefix))

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """``length`` is often an upper bound: what counts is what came."""
        return await self.request(partial(self.inner.read, key, start=start, length=length), length or 0)

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        """Fill ``buffer``; after a body that was cut short, only the rest is requested."""
        received = 0

        async def read_rest() -> int:
            nonlocal received
            try:
                with buffer[received:] as rest:
                    read = partial(self.inner.read_into, key, rest, start=start + received)
                    return received + await self._limited(read, len(rest))
            except BodyCutShort as error:
                received += error.received
                raise

        return await self._retried(read_rest)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        """Each attempt continues after the bytes that ``sink`` has consumed.

        With a limited rate of bytes, there are several requests: one would pass the limit as a burst.
        """
        begin = sink.consumed
        while True:
            done = sink.consumed - begin
            piece = self._piece_of(length - done)
            await self._read_piece(key, sink, start=start + done, length=piece)
            received = sink.consumed - begin
            if received == length or received < done + piece:
                return

    def _piece_of(self, length: int) -> int:
        """The bytes of one request; the last one has as many or more, so that it never begins at the object's end."""
        piece = max(LEAST_PIECE_BYTES, PIECE_SECONDS * self._byte_rate.per_second)
        return length if length < 2 * piece else int(piece)

    async def _read_piece(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        begin = sink.consumed

        async def read_rest() -> None:
            done = sink.consumed - begin
            if done < length or not length:
                rest = length - done
                await self._limited(partial(self.inner.read_through, key, sink, start=start + done, length=rest), rest)

        await self._retried(read_rest)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        return await self.request(partial(self.inner.write, key, body, if_absent=if_absent), body_length(body))

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        return await self.request(partial(self.inner.swap, key, old, new), len(new))

    async def copy_from(self, key: str, source: str) -> None:
        await self.request(partial(self.inner.copy_from, key, source))

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        begin = partial(self.inner.begin_upload, key, size=size, part_bytes=part_bytes, resume=resume)
        return _RemoteUpload(await self.request(begin), self)

    async def delete(self, keys: Sequence[str]) -> None:
        await self.request(partial(self.inner.delete, keys))

    async def request(self, call: Callable[[], Awaitable[Result]], length: int = 0) -> Result:
        """What ``call``, a request that moves ``length`` bytes, returns, with limits and retries."""
        return await self._retried(partial(self._limited, call, length))

    async def _limited(self, call: Callable[[], Awaitable[Result]], length: int = 0) -> Result:
        """One attempt, within the limits. Between attempts, a request takes no slot from others."""
        await self._concurrency.acquire()
        moved_bytes, is_refused = 0, False
        try:
            # The rate of requests last: what waited for the other limits may go out in a burst.
            if length:
                await self._byte_rate.take(length)
            await self._rate.take()
            if self._rate.is_lowered:
                self._concurrency.disregard()
            result = await call()
        except Throttled:
            is_refused = True
            self._rate.refused()
            raise
        except ConnectionFailed:
            self._concurrency.lost()
            raise
        else:
            moved_bytes = len(result) if isinstance(result, bytes) else length
            self._byte_rate.give_back(length - moved_bytes)
            return result
        finally:
            self._concurrency.release(moved_bytes, is_refused=is_refused)


class _RemoteUpload:
    """An upload whose parts, commit and abort are each limited and retried."""

    def __init__(self, inner: Upload, store: RemoteStore) -> None:
        self._inner = inner
        self._request = store.request
        self.resume_token = inner.resume_token

    @property
    def held_bytes(self) -> int:
        return self._inner.held_bytes

    async def adopt_part(self, number: int, body: Body) -> bool:
        return await self._inner.adopt_part(number, body)

    async def write_part(self, number: int, body: Body) -> None:
        if not await self._inner.adopt_part(number, body):  # no request
            await self._request(partial(self._inner.write_part, number, body), body_length(body))

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        await self._request(partial(self._inner.copy_part, number, source, start=start, length=length))

    async def commit(self) -> None:
        await self._request(self._inner.commit)

    async def abort(self) -> None:
        await self._request(self._inner.abort)

    def keep(self) -> None:
        self._inner.keep()
