"""Ask again when a store fails in a way that may pass: full jitter, and never sooner than the store wishes."""

from __future__ import annotations

import math
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

import anyio

from snapdir.errors import StoreError, Throttled, TransientStoreError
from snapdir.stores.base import Body, BodyCutShort, ObjectInfo, Page, StillAtWork, Store, Upload, close_pages
from snapdir.stores.blocks import BlockSink
from snapdir.stores.patience import SignsOfLife
from snapdir.stores.settings import MAX_RETRY_AFTER_SECONDS, RetryPolicy
from snapdir.stores.wrapper import StoreWrapper

__all__ = ["RetryingStore", "delay_seconds", "retry"]

CALLS_OF_REFUSALS = 2
"""A store takes nothing when it refused as often in a row as so many calls are tried. With ``--limit-rate`` few go out
in the time of one call's delays, and chance refuses a few in a row: of 40 pushes at 1 MB/s to a store that refuses a
fifth (in virtual time), 8 failed when five refusals were enough, 1 with seven, and none with these 14."""

Sleep = Callable[[float], Awaitable[None]]
Random = Callable[[], float]
Result = TypeVar("Result")


def _random() -> float:
    """From 0 to 1. (``random`` takes 1.3 ms to import, and here, in the middle of failures, a descriptor.)"""
    return int.from_bytes(os.urandom(6), "little") / (1 << 48)


def delay_seconds(error: TransientStoreError, retries: int, policy: RetryPolicy, random: Random) -> float:
    """How long to wait after ``error`` when ``retries`` retries have been made already."""
    # A large exponent would overflow a float; long before that the draw is bounded by max_seconds.
    bound = min(policy.max_seconds, policy.base_seconds * 2.0 ** min(retries, 64))
    delay = random() * bound
    if isinstance(error, Throttled) and error.retry_after_seconds is not None:
        return max(delay, min(error.retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
    return delay


async def retry(
    call: Callable[[], Awaitable[Result]],
    policy: RetryPolicy,
    *,
    sleep: Sleep = anyio.sleep,
    random: Random = _random,
    gives_up: Callable[[TransientStoreError], bool] | None = None,
) -> Result:
    """Await ``call()`` until it succeeds, fails for good, or has used up its attempts.

    Only a TransientStoreError is retried, and of those no StillAtWork; anything else, a cancellation included, leaves
    at once. The error that finally leaves has ``attempts`` set.

    Args:
        gives_up: Told of each failure that may pass; true ends it before the attempts are used up.
    """
    attempts, throttled = 1, 0
    while True:
        try:
            return await call()
        except TransientStoreError as error:
            error.attempts = attempts
            throttled += isinstance(error, Throttled)
            is_given_up = isinstance(error, StillAtWork) or (gives_up is not None and gives_up(error))
            if is_given_up or attempts >= policy.attempts + min(throttled, policy.more_if_throttled):
                raise
            delay = delay_seconds(error, attempts - 1, policy, random)
        # Outside the handler: while it sleeps, the error and the frames it holds are gone.
        await sleep(delay)
        attempts += 1


class RetryingStore(StoreWrapper):
    """``inner``, whose transient failures are retried. Every call keeps its promises across attempts.

    A ``write`` with ``if_absent`` whose first answer got lost may report False for an object it wrote itself; that the
    object is there is true either way.

    Args:
        dead_after_seconds: When no connection has brought an answer for so long, a call fails before its attempts are
            used up. It also does when, for as long as its own delays could take, nothing but Throttled was heard.
    """

    def __init__(
        self,
        inner: Store,
        policy: RetryPolicy,
        *,
        dead_after_seconds: float = math.inf,
        sleep: Sleep = anyio.sleep,
        random: Random = _random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._policy = policy
        self._life = SignsOfLife(
            policy.attempts,
            dead_after_seconds,
            clock,
            refusals=CALLS_OF_REFUSALS * (policy.attempts + policy.more_if_throttled),
            refused_after_seconds=policy.delays_seconds(policy.attempts - 1 + policy.more_if_throttled),
        )
        self._sleep = sleep
        self._random = random

    async def stat(self, key: str) -> ObjectInfo:
        return await self._retry(partial(self.inner.stat, key))

    async def list(
        self, prefix: str, *, start_after: str = "", resume: str | None = None
    ) -> AsyncGenerator[Page, None]:
        """Pages of ``inner``; after a failure they go on behind the last one. Each page has its own attempts."""
        async with aclosing(_Pages(self.inner, prefix, start_after, resume)) as pages:
            while page := await self._retry(pages.next_new):
                yield page

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        return await self._retry(partial(self.inner.read, key, start=start, length=length))

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        """Fill ``buffer``; after a body that was cut short only what is missing is asked for."""
        received = 0

        async def read_rest() -> int:
            nonlocal received
            try:
                with buffer[received:] as rest:
                    return received + await self.inner.read_into(key, rest, start=start + received)
            except BodyCutShort as error:
                received += error.received
                raise

        return await self._retry(read_rest)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        """Each attempt goes on behind what ``sink`` has consumed."""
        begin = sink.consumed

        async def read_rest() -> None:
            done = sink.consumed - begin
            if done < length or not length:
                await self.inner.read_through(key, sink, start=start + done, length=length - done)

        await self._retry(read_rest)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        return await self._retry(partial(self.inner.write, key, body, if_absent=if_absent))

    async def copy_from(self, key: str, source: str) -> None:
        await self._retry(partial(self.inner.copy_from, key, source))

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        upload = await self._retry(
            partial(self.inner.begin_upload, key, size=size, part_bytes=part_bytes, resume=resume)
        )
        return _RetryingUpload(upload, self._retry)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._retry(partial(self.inner.delete, keys))

    async def _retry(self, call: Callable[[], Awaitable[Result]]) -> Result:
        gives_up = partial(self._life.failed, began_at=self._life.now())
        try:
            result = await retry(call, self._policy, sleep=self._sleep, random=self._random, gives_up=gives_up)
        except TransientStoreError:
            raise
        except StoreError:
            self._life.passed()
            raise
        self._life.passed()
        return result


class _Pages:
    """One listing of ``inner``, begun again after a failure: an async generator that has raised is finished.

    It begins behind the last page where that says how, else at the start; what came before is left out. The last key
    tells nothing: a store need not list in the order of its keys. Keys are kept in memory only where the listing may
    have to begin at the start.
    """

    def __init__(self, inner: Store, prefix: str, start_after: str, resume: str | None) -> None:
        self._inner = inner
        self._prefix = prefix
        self._start_after = start_after
        self._resume = resume
        self._pages: AsyncIterator[Page] | None = None
        self._seen: set[str] = set()

    async def next_new(self) -> Page | None:
        """The next page that holds something new, None at the end."""
        while (page := await self._next()) is not None:
            self._resume = page.resume
            if new := [info for info in page if info.key not in self._seen]:
                if page.resume is None:
                    self._seen.update(info.key for info in new)
                return Page.of(new, page.resume)
        return None

    async def _next(self) -> Page | None:
        if self._pages is None:
            self._pages = self._inner.list(self._prefix, start_after=self._start_after, resume=self._resume)
        try:
            return await anext(self._pages, None)
        except TransientStoreError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        pages, self._pages = self._pages, None
        if pages is not None:
            await close_pages(pages)


class _RetryingUpload:
    """An upload whose parts, and whose end, are each retried alone."""

    def __init__(self, inner: Upload, retry_call: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]) -> None:
        self._inner = inner
        self._retry = retry_call
        self.resume_token = inner.resume_token

    @property
    def held_bytes(self) -> int:
        return self._inner.held_bytes

    async def adopt_part(self, number: int, body: Body) -> bool:
        return await self._inner.adopt_part(number, body)

    async def write_part(self, number: int, body: Body) -> None:
        await self._retry(partial(self._inner.write_part, number, body))

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        await self._retry(partial(self._inner.copy_part, number, source, start=start, length=length))

    async def commit(self) -> None:
        await self._retry(self._inner.commit)

    async def abort(self) -> None:
        await self._retry(self._inner.abort)

    def keep(self) -> None:
        self._inner.keep()
