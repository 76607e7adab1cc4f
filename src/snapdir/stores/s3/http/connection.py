"""One HTTP/1.1 connection: a request out, its response in, again and again.

Built on ``asyncio.BufferedProtocol``, because then one body of code serves plain TCP and TLS, stock asyncio and uvloop,
and the loop receives straight into the caller's buffer. (Measured against bare non-blocking sockets: the same for small
requests and for plain bodies; over TLS 0.72 s of CPU a GiB where an ``SSLSocket`` takes 0.93.) Long bodies, which go to
a BlockSink, are a thread's: see ``block_passing``.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from typing import cast

from snapdir.stores.base import Body, FileRange, body_length
from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.draining import Dripped, EndedEarly, Stalled
from snapdir.stores.s3.http.endpoint import Endpoint
from snapdir.stores.s3.http.errors import (
    BodyChanged,
    BodyTruncated,
    BodyUnreadable,
    ConnectionLost,
    PoolClosed,
    ProtocolViolation,
    StallTimeout,
    TooSlow,
    WireError,
)
from snapdir.stores.s3.http.line import LineRate, unsent_in_kernel
from snapdir.stores.s3.http.parsing import MalformedHTTP, Response
from snapdir.stores.s3.http.receiving import ResponseReceiver
from snapdir.stores.s3.http.request import Request
from snapdir.stores.s3.http.senders import (
    ContentChanged,
    SocketSender,
    TransportSender,
    UnexpectedEnd,
    read_small,
)
from snapdir.stores.s3.http.threaded_body import BlockPassing
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.http.tls import TLSObject
from snapdir.stores.s3.http.watch import Expired, Look, Watch

__all__ = ["Connection"]

# Head and body leave in one piece up to here: copying 64 KiB costs what the set-up of a sender does.
JOINED_BYTES = 64 << 10


class Connection(asyncio.BufferedProtocol):
    """One connection to one server; one exchange at a time.

    Whatever goes wrong closes it, and the exchange under way fails with a WireError.

    Attributes:
        reusable: Another exchange may begin.
        exchanges: How many have begun.
        activity: Changes whenever something moves.
    """

    def __init__(
        self,
        server: Endpoint,
        timeouts: Timeouts,
        scratch: bytearray,
        on_lost: Callable[[Connection], None],
        *,
        threads: Executor | None = None,
        line: LineRate | None = None,
    ) -> None:
        """``threads`` receive, decrypt and consume the bodies that go to a BlockSink; None: the loop's own.
        ``line`` is what all connections to the server know of the way there."""
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._server, self._timeouts = server, timeouts
        self._receiver = ResponseReceiver(scratch)
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._tls: TLSObject | None = None
        self.reusable = False
        self.exchanges = 0
        self._future: asyncio.Future[Response] | None = None
        self._sender: SocketSender | TransportSender | None = None
        self._has_body = False
        self._sent_at_once = 0  # body bytes that left together with their head
        self._refusal: OSError | None = None
        self._deferred: Response | None = None  # complete, but a thread may still be sending the request
        self._passing: BlockPassing | None = None
        self._continue_timer: asyncio.TimerHandle | None = None
        self._patience_seconds = 0.0
        self.activity = 0
        self._line = line or LineRate()
        self._began_at = 0.0
        self._watch = Watch(timeouts, self._loop.time(), self._line)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._tls = transport.get_extra_info("ssl_object")
        self.reusable = True

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """What a later connection may go on from; None over plain TCP."""
        return None if self._tls is None else self._tls.session

    # A request leaves

    def exchange(self, request: Request) -> asyncio.Future[Response]:
        """Send ``request``; the future brings its response, or a WireError.

        Cancellation: cancel the future and ``abort()``; after that nothing is sent, nor received into the buffer.
        """
        self._future = future = self._loop.create_future()
        self._receiver.begin(
            method_is_head=request.method_is_head,
            into=request.into,
            max_body_bytes=request.max_body_bytes,
            check=request.check,
        )
        self._passing = self._make_passing(request.into) if isinstance(request.into, BlockSink) else None
        self._patience_seconds = request.patience_seconds
        self._began_at = self._loop.time()
        self.exchanges += 1
        self.activity += 1
        transport, body = self._transport, request.body
        self._has_body, self._sent_at_once = body is not None, 0
        if transport is None or not self.reusable:
            self._fail(self._lost("it was closed before the request began"))
        elif body is None:
            transport.write(request.head)
        elif request.expect_continue:
            self._sender = self._make_sender(transport, body)
            transport.write(request.head)
            self._continue_timer = self._loop.call_later(self._timeouts.continue_seconds, self._send_held_body)
        else:
            self._send_with_body(transport, request.head, body)
        return future

    def _send_with_body(self, transport: asyncio.Transport, head: bytes, body: Body) -> None:
        if body_length(body) <= JOINED_BYTES:
            small = read_small(body) if isinstance(body, FileRange) else body
            if small is not None:
                transport.write(b"".join((head, small)))
                self._sent_at_once = len(small)
                return
        self._sender = self._make_sender(transport, body)
        self._sender.start(head)

    def _make_sender(self, transport: asyncio.Transport, body: Body) -> SocketSender | TransportSender:
        is_compared = isinstance(body, FileRange) and body.compare
        kind = SocketSender if self._tls is None and not is_compared else TransportSender
        return kind(self._loop, self, body, transport)

    def _send_held_body(self) -> None:
        if self._continue_timer is not None:
            self._continue_timer.cancel()
            self._continue_timer = None
            if self._sender is not None:
                self._sender.start()

    def pause_writing(self) -> None:
        if isinstance(self._sender, TransportSender):
            self._sender.pause()

    def resume_writing(self) -> None:
        if isinstance(self._sender, TransportSender):
            self._sender.resume()

    def body_moved(self) -> None:
        self.activity += 1

    def body_settled(self) -> None:
        if self._deferred is not None:
            response, self._deferred = self._deferred, None
            self._complete(response)

    def body_failed(self, error: OSError | UnexpectedEnd | ContentChanged) -> None:
        sent, received = self._progress()
        if isinstance(error, ContentChanged):
            self._fail(BodyChanged(self._server, bytes_sent=sent, bytes_received=received))
            return
        if isinstance(error, UnexpectedEnd):
            promised = self._sender.length if self._sender else 0
            self._fail(BodyTruncated(self._server, promised, bytes_sent=sent, bytes_received=received))
            return
        failure = BodyUnreadable(self._server, str(error), bytes_sent=sent, bytes_received=received)
        failure.__cause__ = error
        self._fail(failure)

    def body_refused(self, error: OSError) -> None:
        """The server may have answered before it hung up: reading goes on, and ends the exchange one way or another."""
        self._refusal = error
        self.body_settled()

    # A response comes

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._receiver.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self.activity += 1
        if self._future is None:
            self.abort()  # nothing was asked, so these bytes can belong to nothing
            return
        try:
            response = self._receiver.feed(nbytes)
        except MalformedHTTP as error:
            self._violate(str(error))
            return
        except Exception as error:  # the request's own check
            self._fail(error)
            return
        if response is not None:
            self._complete(response)
        elif self._passing is not None and self._transport is not None and self._receiver.in_block != (0, 0):
            self._passing.start(self._transport, self._tls, self._receiver)
        elif self._continue_timer is not None and self._receiver.continued:
            self._send_held_body()

    def _make_passing(self, sink: BlockSink) -> BlockPassing:
        return BlockPassing(sink, self._passed, threads=self._threads, timeouts=self._timeouts)

    @property
    def _is_passing(self) -> bool:
        return self._passing is not None and self._passing.busy

    def _passed(self, error: BaseException | None, response: Response | None) -> None:
        """A thread is done with the body."""
        self.activity += 1
        if self._future is None:
            return
        if error is not None:
            self._fail(self._passing_failure(error))
            return
        if self._transport is not None:
            if self._tls is not None:
                self._tls.tcp_transport.resume_reading()
            self._transport.resume_reading()
        if response is not None:
            self._complete(response)

    def _passing_failure(self, error: BaseException) -> BaseException:
        """The wire's word for what ended a drain; what the sink raised is left as it is."""
        if isinstance(error, Stalled):
            return self._expiry(StallTimeout, self._timeouts.stall_seconds)
        if isinstance(error, Dripped):
            return self._expiry(TooSlow, self._timeouts.rate_seconds)
        if isinstance(error, EndedEarly):
            failure = self._lost(str(error))
            failure.__cause__ = error
            return failure
        return error

    async def settled(self) -> None:
        """Wait for the thread that may still have a sink's block, whatever became of the exchange."""
        if self._passing is not None:
            await self._passing.settled()

    def eof_received(self) -> bool:
        # Stock asyncio reports the end of TLS alike with and without its goodbye, so anybody on the way could have cut
        # such a body: over TLS only a length or chunks say where one ends.
        response = self._receiver.end() if self._future is not None and self._tls is None else None
        if response is not None:
            self._complete(response)
        return False  # close the transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return  # it was told before its transport could be closed, see abort
        self.reusable = False
        self._transport = None
        if self._future is not None and self._deferred is None and not self._is_passing:
            cause = exc or self._refusal
            failure = self._lost("closed by the server" if cause is None else str(cause))
            failure.__cause__ = cause
            self._fail(failure)
        self._on_lost(self)

    def _complete(self, response: Response) -> None:
        if self._has_body and not self._body_has_left():
            if self._sender is not None and self._sender.busy:
                self._deferred = response
                return
            if response.status < 300:
                self._violate(f"{response.status} before the whole body was sent")
                return
            response.keep_alive = False
        elif self._has_body:
            self._line.answered(self._progress()[0], self._loop.time() - self._began_at)
        self._settle()
        future, self._future = self._future, None
        if not response.keep_alive:
            self.abort()
        if future is not None and not future.done():
            future.set_result(response)

    def _body_has_left(self) -> bool:
        if self._sender is not None and not self._sender.done:
            return False
        return self._transport is None or self._transport.get_write_buffer_size() == 0

    # An exchange ends

    def abort(self) -> None:
        """Close at once, and let go of every buffer; ``on_lost`` follows."""
        self.reusable = False
        self._future = None
        self._deferred = None
        self._settle()
        self._receiver.forget()
        if self._passing is not None:
            self._passing.stop()
        if self._transport is None:
            return
        if self._tls is not None and self._passing is not None and self._passing.busy:
            self._passing.abort_later(self._transport)
            self._loop.call_soon(self.connection_lost, None)
        else:
            self._transport.abort()

    def _settle(self) -> None:
        if self._sender is not None:
            self._sender.stop()
            self._sender = None
        if self._continue_timer is not None:
            self._continue_timer.cancel()
            self._continue_timer = None

    def _fail(self, error: BaseException) -> None:
        future = self._future
        self.abort()
        if future is not None and not future.done():
            future.set_exception(error)

    def close(self) -> None:
        """Close at once; an exchange under way fails with PoolClosed."""
        sent, received = self._progress()
        self._fail(PoolClosed(self._server, bytes_sent=sent, bytes_received=received))

    def disown(self) -> None:
        """In a forked child: let go of the parent's connection without a word to the server or to the parent's loop.

        The descriptor is made to mean the null device, so that whatever still knows its number closes only that.
        """
        self.reusable = False
        if self._transport is not None:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, self._transport.get_extra_info("socket").fileno(), inheritable=False)
            os.close(null)

    def _violate(self, reason: str) -> None:
        sent, received = self._progress()
        self._fail(ProtocolViolation(self._server, reason, bytes_sent=sent, bytes_received=received))

    def _lost(self, reason: str) -> ConnectionLost:
        sent, received = self._progress()
        return ConnectionLost(self._server, reason, bytes_sent=sent, bytes_received=received)

    def _progress(self) -> tuple[int, int]:
        return self._sender.sent if self._sender else self._sent_at_once, self._receiver.received

    # Time passes

    def check(self, now: float) -> None:
        """Compare with the last look: close what has been idle too long, fail what has been waiting too long."""
        if self._is_passing:
            self._watch.passes(now)
        elif self._future is None:
            if self._watch.is_idle_for_long(now, self.activity):
                self.abort()
        elif expired := self._watch.expired(now, self._look()):
            self._fail(self._expiry(*expired))

    def _look(self) -> Look:
        sent, received = self._progress()
        unsent, sender = self.unsent_bytes(), self._sender
        is_sending = unsent > 0 or (sender is not None and not sender.done)
        reads_disk = sender is not None and sender.reads_disk
        patience = self._patience_seconds
        return Look(self.exchanges, self.activity, sent, unsent, is_sending, reads_disk, received, patience)

    def _expiry(self, kind: Expired, seconds: float) -> WireError:
        sent, received = self._progress()
        return kind(self._server, seconds, bytes_sent=sent, bytes_received=received)

    def unsent_bytes(self) -> int:
        """Bytes that the server's host has not acknowledged: a slow line is not a slow server."""
        if self._transport is None:
            return 0
        return unsent_in_kernel(self._transport.get_extra_info("socket")) + self._transport.get_write_buffer_size()
