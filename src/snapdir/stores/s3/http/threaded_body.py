"""A long body on its way to its sink: a thread receives it, and meanwhile the connection does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.draining import Drain, EncryptedDrain, RemainingBody
from snapdir.stores.s3.http.parsing import Response
from snapdir.stores.s3.http.rate_floor import RateFloor
from snapdir.stores.s3.http.receiving import ResponseReceiver
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.http.tls import TLSObject

__all__ = ["BlockPassing"]


class BlockPassing:
    """Hands what is still to come of one body to a thread.

    Args:
        done: Called in the loop when the thread has ended: with its error, or with the response.
        threads: Where the work is done; None: the loop's own.
        timeouts: How long a thread waits for a byte, and how slow they may come.

    Attributes:
        busy: A thread has the sink's block, or will have it.
    """

    def __init__(
        self,
        sink: BlockSink,
        done: Callable[[BaseException | None, Response | None], None],
        *,
        threads: Executor | None,
        timeouts: Timeouts,
    ) -> None:
        self._sink = sink
        self._done = done
        self._threads = threads
        self._timeouts = timeouts
        self._drain: Drain | None = None
        self._transport: asyncio.Transport | None = None  # to be closed when the thread has ended
        self._settled: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        return self._settled is not None

    def start(self, transport: asyncio.Transport, tls: TLSObject | None, receiver: ResponseReceiver) -> None:
        """Stop reading, and let a thread work. ``tls`` is what speaks TLS for ``transport``, if anything does."""
        transport.pause_reading()
        filled, left = receiver.in_block
        floor = RateFloor(self._timeouts.min_bytes_per_second, self._timeouts.rate_seconds)
        body = RemainingBody(self._sink, filled, left, self._timeouts.stall_seconds, floor)
        original = transport.get_extra_info("socket")
        if tls is None:
            self._drain = Drain(original, body)
        else:
            tls.tcp_transport.pause_reading()
            self._drain = EncryptedDrain(original, body, tls)
        loop = asyncio.get_running_loop()
        self._settled = loop.create_future()
        # Not at once: what has called the connection may still be busy with the TLS of these very bytes.
        loop.call_soon(self._begin, self._drain, receiver)

    def _begin(self, drain: Drain, receiver: ResponseReceiver) -> None:
        try:
            work = asyncio.get_running_loop().run_in_executor(self._threads, drain.run)
        except RuntimeError as error:  # the pool was closed meanwhile, and its threads take no more work
            drain.close()
            self._ended(receiver, error)
        else:
            work.add_done_callback(lambda work: self._ended(receiver, work.exception()))

    def stop(self) -> None:
        """Make a thread that receives end soon. Safe to repeat."""
        if self._drain is not None:
            self._drain.stop()

    def abort_later(self, transport: asyncio.Transport) -> None:
        """Abort ``transport`` when the thread has ended: closing it touches the TLS object, which the thread uses."""
        self._transport = transport

    async def settled(self) -> None:
        """Wait until no thread has the block."""
        while self._settled is not None:
            await asyncio.wait([self._settled])

    def _ended(self, receiver: ResponseReceiver, error: BaseException | None) -> None:
        settled, self._drain, self._settled = self._settled, None, None
        if settled is not None:
            settled.set_result(None)
        if self._transport is not None:
            self._transport.abort()
        self._done(error, receiver.drained() if error is None else None)
