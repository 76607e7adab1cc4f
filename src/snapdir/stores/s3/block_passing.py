"""A long body on its way to its sink: while a thread has the block, the connection does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.draining import Drain
from snapdir.stores.s3.http_parsing import Response
from snapdir.stores.s3.receiving import ResponseReceiver

__all__ = ["BlockPassing"]


class BlockPassing:
    """Hands one body to threads: over plain TCP all that is still to come at once, over TLS block by block.

    Args:
        done: Called in the loop when a thread has ended, with its error, and with the response if that was all of it.
        threads: Where the work is done; None: the loop's own.
        stall_seconds: How long a thread waits for a byte.

    Attributes:
        busy: A thread has the sink's block.
    """

    def __init__(
        self,
        sink: BlockSink,
        done: Callable[[BaseException | None, Response | None], None],
        *,
        threads: Executor | None,
        plain: bool,
        stall_seconds: float,
    ) -> None:
        self._sink = sink
        self._done = done
        self._threads = threads
        self._plain = plain
        self._stall_seconds = stall_seconds
        self._drain: Drain | None = None
        self._work: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        return self._work is not None

    def is_due(self, receiver: ResponseReceiver) -> bool:
        """Whether it is a thread's turn."""
        return receiver.in_block != (0, 0) if self._plain else receiver.full_bytes > 0

    def start(self, transport: asyncio.Transport, receiver: ResponseReceiver) -> None:
        """Stop reading, and let a thread work."""
        transport.pause_reading()
        work: Callable[[], None] = partial(self._sink.put, receiver.full_bytes)
        if self._plain:
            filled, left = receiver.in_block
            original = transport.get_extra_info("socket")
            self._drain = Drain(original, self._sink, filled=filled, left=left, stall_seconds=self._stall_seconds)
            work = self._drain.run
        self._work = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._work.add_done_callback(partial(self._ended, receiver))

    def stop(self) -> None:
        """Make a thread that receives end soon. Safe to repeat."""
        if self._drain is not None:
            self._drain.stop()

    async def settled(self) -> None:
        """Wait until no thread has the block."""
        while self._work is not None:
            await asyncio.wait([self._work])

    def _ended(self, receiver: ResponseReceiver, work: asyncio.Future[None]) -> None:
        drained, self._drain, self._work = self._drain is not None, None, None
        error, response = work.exception(), None
        if error is None:
            response = receiver.drained() if drained else receiver.emptied()
        self._done(error, response)
