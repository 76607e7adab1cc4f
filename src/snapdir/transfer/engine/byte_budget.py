"""A bound on the bytes of a transfer that are in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class ByteBudget:
    """At most ``total_bytes`` held at once; waiting for a share is the back-pressure of a transfer.

    Shares are given in the order of the requests. A share larger than the budget is given when nothing else is held, so
    that no task waits for ever. For one event loop.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.held_bytes = 0
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    def _fits(self, bytes_: int) -> bool:
        return self.held_bytes == 0 or self.held_bytes + bytes_ <= self.total_bytes

    async def acquire(self, bytes_: int) -> None:
        """Take ``bytes_``, waiting for them if need be. Cancellation takes nothing."""
        if not self._waiting and self._fits(bytes_):
            self.held_bytes += bytes_
            return
        given = anyio.Event()
        self._waiting.append((bytes_, given))
        try:
            await given.wait()
        except BaseException:
            if given.is_set():
                self.release(bytes_)
            else:
                self._waiting.remove((bytes_, given))
                self._give()
            raise

    def release(self, bytes_: int) -> None:
        """Give ``bytes_`` back."""
        self.held_bytes -= bytes_
        self._give()

    def _give(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            bytes_, given = self._waiting.popleft()
            self.held_bytes += bytes_
            given.set()

    @asynccontextmanager
    async def share(self, bytes_: int) -> AsyncIterator[None]:
        """Hold ``bytes_`` for the block."""
        await self.acquire(bytes_)
        try:
            yield
        finally:
            self.release(bytes_)
