"""Long bodies, received, decrypted and consumed by a thread instead of a transport.

A GiB through the loop, with a hop to a thread for every block, costs 1.15 s of CPU; this costs 0.85, because each hop
contends for the interpreter lock. Over TLS the thread takes the lock once for each record of 16 KiB.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import NamedTuple

from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.errors import ConnectionLost, StallTimeout, TooSlow
from snapdir.stores.s3.http.timeouts import RateFloor, Timeouts
from snapdir.stores.s3.http.tls import TLSObject

WAKE_BYTES = 2 << 20
"""A thread sleeps until this much has arrived: waking for every packet costs more than receiving it."""

ENCRYPTED_BYTES = 512 << 10
"""Received at once before decryption; the TLS object buffers up to 4/3 of it."""


class BodyBroken(Exception):
    """The connection ended before the body was complete, or is too slow.

    Attributes:
        kind: The error that says so; its ``detail`` is a reason or a number of seconds.
    """

    def __init__(self, kind: type[ConnectionLost | StallTimeout | TooSlow], detail: str | float) -> None:
        super().__init__(kind.__name__, detail)
        self.kind = kind
        self.detail = detail


class RemainingBody(NamedTuple):
    """The rest of one body.

    Attributes:
        filled: Bytes that are in the sink's block already.
        remaining_bytes: Bytes that have not arrived yet.
        timeouts: The limits of waiting time and rate; the time of the sink does not count.
    """

    sink: BlockSink
    filled: int
    remaining_bytes: int
    timeouts: Timeouts


class BodyReader:
    """Reads the rest of a body from a duplicate of a connection's socket, while the transport does not read."""

    def __init__(
        self, original: socket.socket, body: RemainingBody, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        timeouts = body.timeouts
        self._floor = RateFloor(timeouts.min_bytes_per_second, timeouts.rate_seconds)
        self._socket = socket.socket(fileno=os.dup(original.fileno()))
        self._sink, self._filled, self._remaining_bytes = body.sink, body.filled, body.remaining_bytes
        self._stall_seconds = timeouts.stall_seconds
        self._socket.settimeout(self._stall_seconds)
        self._waking_at = 1

    def run(self) -> None:
        """Receive everything and pass it on.

        Raises:
            BodyBroken: the connection failed. Other errors come from the sink.
        """
        with self._socket:
            try:
                while self._filled or self._remaining_bytes:
                    self._fill()
                    filled, self._filled = self._filled, 0
                    self._sink.put(filled)
            finally:
                self._wake_at(1)

    def close(self) -> None:
        """Close the socket, if ``run`` will not be called."""
        self._socket.close()

    def stop(self) -> None:
        """Make ``run`` end soon, wherever it is. Safe to repeat."""
        with suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def _fill(self) -> None:
        """A whole block, or the end of the body."""
        with memoryview(self._sink.block) as block:
            while self._remaining_bytes and self._filled < len(block):
                began = self._clock()
                with block[self._filled : self._filled + self._remaining_bytes] as space:
                    received = self._receive(space)
                self._filled += received
                self._remaining_bytes -= received
                if self._floor.is_below(received, self._clock() - began) and self._remaining_bytes:
                    raise BodyBroken(TooSlow, self._floor.window_seconds)

    def _receive(self, space: memoryview) -> int:
        return self._receive_raw(space, wake_at=min(len(space), WAKE_BYTES))

    def _receive_raw(self, space: memoryview, *, wake_at: int) -> int:
        self._wake_at(wake_at)
        try:
            received = self._socket.recv_into(space)
        except TimeoutError:
            received = self._receive_few(space)
        except OSError as error:
            raise BodyBroken(ConnectionLost, str(error)) from error
        if not received:
            raise BodyBroken(ConnectionLost, "closed by the server")
        return received

    def _receive_few(self, space: memoryview) -> int:
        """Whatever has arrived: on a slow line that may be less than the thread waits for."""
        self._socket.settimeout(0)
        try:
            return self._socket.recv_into(space)
        except BlockingIOError:
            raise BodyBroken(StallTimeout, self._stall_seconds) from None
        except OSError as error:
            raise BodyBroken(ConnectionLost, str(error)) from error
        finally:
            self._socket.settimeout(self._stall_seconds)

    def _wake_at(self, count: int) -> None:
        """Sleep until ``count`` bytes have arrived, or the peer has closed."""
        if count != self._waking_at:
            self._waking_at = count
            with suppress(OSError):  # stopped: it is shut down
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)


class TLSBodyReader(BodyReader):
    """``BodyReader`` over TLS: the thread decrypts the received bytes.

    Args:
        tls: The connection's. Until ``run`` has returned, nothing else may use it or close its transports.
    """

    def __init__(
        self,
        original: socket.socket,
        body: RemainingBody,
        tls: TLSObject,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(original, body, clock=clock)
        self._tls = tls
        self._encrypted = memoryview(bytearray(ENCRYPTED_BYTES))

    def _receive(self, space: memoryview) -> int:
        """As many decrypted bytes as are available."""
        decrypt, received = self._tls.read, 0
        # Records without bytes of the body are not progress.
        deadline = self._clock() + self._stall_seconds
        while received < len(space):
            try:
                with space[received:] as view:  # released even if an error keeps this frame
                    count: int = decrypt(len(view), view)  # type: ignore[assignment]
            except ssl.SSLWantReadError:
                if received:
                    break
                if self._clock() > deadline:
                    raise BodyBroken(StallTimeout, self._stall_seconds) from None
                self._receive_encrypted()
            except ssl.SSLError as error:
                raise BodyBroken(ConnectionLost, error.reason or str(error)) from error
            else:
                if not count:
                    raise BodyBroken(ConnectionLost, "closed by the server")
                received += count
        return received

    def _receive_encrypted(self) -> None:
        # One byte is enough to wake: a server may end early with a short alert.
        count = self._receive_raw(self._encrypted, wake_at=1)
        with self._encrypted[:count] as encrypted:
            self._tls.incoming.write(encrypted)


class ThreadedBody:
    """A thread that receives the rest of a body while the connection is paused.

    Args:
        transport: The connection's; it reads no more from now on.
        tls: What speaks TLS for ``transport``, if anything does.
        done: Called in the loop with the thread's error or None, once it no longer uses the sink's block.
        threads: The executor; None for the loop's own.
    """

    def __init__(
        self,
        body: RemainingBody,
        transport: asyncio.Transport,
        tls: TLSObject | None,
        done: Callable[[BaseException | None], None],
        *,
        threads: Executor | None,
    ) -> None:
        transport.pause_reading()
        original = transport.get_extra_info("socket")
        if tls is None:
            self._reader = BodyReader(original, body)
        else:
            tls.tcp_transport.pause_reading()
            self._reader = TLSBodyReader(original, body, tls)
        self._done = done
        self._threads = threads
        self._to_abort: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._settled: asyncio.Future[None] = self._loop.create_future()
        # Not at once: the caller may still be decrypting.
        self._loop.call_soon(self._begin)

    def stop(self) -> None:
        """Make the thread end soon. Safe to repeat."""
        if not self._settled.done():
            self._reader.stop()

    def abort_later(self, transport: asyncio.Transport) -> None:
        """Abort ``transport`` when the thread has ended: closing it touches the TLS object, which the thread uses."""
        self._to_abort = transport

    async def settled(self) -> None:
        """Wait until no thread has the block."""
        await asyncio.wait([self._settled])

    def _begin(self) -> None:
        try:
            work = self._loop.run_in_executor(self._threads, self._reader.run)
        except RuntimeError as error:  # the pool was closed meanwhile, and its threads take no more work
            self._reader.close()
            self._end(error)
        else:
            work.add_done_callback(lambda work: self._end(work.exception()))

    def _end(self, error: BaseException | None) -> None:
        self._settled.set_result(None)
        if self._to_abort is not None:
            self._to_abort.abort()
        self._done(error)
