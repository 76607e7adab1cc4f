"""One HTTP/1.1 connection: sends requests and receives their responses, one at a time.

Built on ``asyncio.BufferedProtocol``, because then one body of code serves plain TCP and TLS, stock asyncio and uvloop,
and the loop receives straight into the caller's buffer. (Measured against bare non-blocking sockets: the same for small
requests and for plain bodies; over TLS 0.72 s of CPU per GiB where an ``SSLSocket`` takes 0.93.) Long bodies for a
BlockSink are received in a thread: see ``threaded_body``.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

from snapdir.stores.base import Body, FileRange
from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.endpoint import Endpoint
from snapdir.stores.s3.http.errors import ConnectionLost, PoolClosed, ProtocolViolation, WireError
from snapdir.stores.s3.http.parsing import MalformedHTTP
from snapdir.stores.s3.http.responses import PLAIN, Reception, Response, ResponseReceiver
from snapdir.stores.s3.http.senders import SocketSender, TransportSender, read_small, unsent_in_kernel
from snapdir.stores.s3.http.threaded_body import BodyBroken, RemainingBody, ThreadedBody
from snapdir.stores.s3.http.timeouts import TELLING_BYTES, ExchangeState, LineRate, Timeouts, Watch
from snapdir.stores.s3.http.tls import TLSObject

# Head and body leave in one piece up to here: copying 64 KiB costs what the set-up of a sender does.
JOINED_BYTES = 64 << 10


@dataclass(slots=True)
class Request:
    """One request as a connection needs it.

    Attributes:
        head: Everything up to and including the empty line.
        body_bytes: Bytes of the body.
        method_is_head: The response has no body, even if its headers announce one.
    """

    head: bytes
    body: Body | None = None
    body_bytes: int = 0
    method_is_head: bool = False
    reception: Reception = PLAIN


class Exchange:
    """One request and its response so far. Each request has an exchange of its own.

    Attributes:
        future: The response, or a WireError.
        sender: Sends the body; None without a body, or if it left together with the head.
        threaded: A thread that receives the body; None again when it has ended.
        refusal: Why the server took no more of the body.
        deferred: The complete response, while a thread may still be sending the request.
    """

    def __init__(self, request: Request, scratch: bytearray, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.future: asyncio.Future[Response] = loop.create_future()
        self.receiver = ResponseReceiver(scratch, request.reception, method_is_head=request.method_is_head)
        self.sender: SocketSender | TransportSender | None = None
        self.threaded: ThreadedBody | None = None
        self.refusal: OSError | None = None
        self.deferred: Response | None = None
        self.began_at = loop.time()
        self._joined_bytes = 0

    def send_joined(self, transport: asyncio.Transport) -> bool:
        """Send head and body in one piece, if the body is short and at hand."""
        body = self.request.body
        if self.request.body_bytes > JOINED_BYTES:
            return False
        small = read_small(body) if isinstance(body, FileRange) else body
        if small is None:
            return False
        transport.write(b"".join((self.request.head, small)))
        self._joined_bytes = self.request.body_bytes
        return True

    @property
    def sent(self) -> int:
        """Bytes of the body that have left this process."""
        return self._joined_bytes if self.sender is None else self.sender.sent

    def stop(self) -> None:
        """Stop sending, release every buffer, and make a receiving thread end soon. Safe to repeat."""
        self.receiver.forget()
        if self.sender is not None:
            self.sender.stop()
        if self.threaded is not None:
            self.threaded.stop()


class Connection(asyncio.BufferedProtocol):
    """One connection to one server; one exchange at a time.

    Any failure closes it; the current exchange then fails with a WireError.

    Attributes:
        reusable: Another exchange may begin.
        exchanges: How many have begun.
        activity: Changes whenever bytes move.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeouts: Timeouts,
        scratch: bytearray,
        on_lost: Callable[[Connection], None],
        *,
        threads: Executor | None = None,
        line: LineRate | None = None,
    ) -> None:
        """``threads`` receive, decrypt and consume the bodies that go to a BlockSink; None: the loop's own.
        ``line`` is the rate of the line, which all connections to the server share."""
        self._loop = asyncio.get_running_loop()
        self._endpoint, self._timeouts = endpoint, timeouts
        self._scratch = scratch
        self._on_lost = on_lost
        self._threads = threads
        self._line = line or LineRate()
        self._watch = Watch(timeouts, self._loop.time(), self._line)
        self._transport: asyncio.Transport | None = None
        self._tls: TLSObject | None = None
        self._exchange: Exchange | None = None
        self.reusable = False
        self.exchanges = 0
        self.activity = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._tls = transport.get_extra_info("ssl_object")
        self.reusable = True

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """The TLS session that a later connection can resume; None over plain TCP."""
        return None if self._tls is None else self._tls.session

    # A request leaves

    def begin(self, request: Request) -> Exchange:
        """Send ``request``; the future of the exchange brings its response.

        Cancellation: cancel the future and call ``abort()``; nothing is sent or received into the buffer afterwards.
        """
        self._exchange = exchange = Exchange(request, self._scratch, self._loop)
        self.exchanges += 1
        self.activity += 1
        transport = self._transport
        if transport is None or not self.reusable:
            self._fail(self._error(ConnectionLost, "it was closed before the request began"))
        elif request.body is None:
            transport.write(request.head)
        elif not exchange.send_joined(transport):
            exchange.sender = self._make_sender(transport, request.body)
            exchange.sender.start(request.head)
        return exchange

    def _make_sender(self, transport: asyncio.Transport, body: Body) -> SocketSender | TransportSender:
        is_compared = isinstance(body, FileRange) and body.compare
        kind = SocketSender if self._tls is None and not is_compared else TransportSender
        return kind(self._loop, self, body, transport)

    def pause_writing(self) -> None:
        if self._exchange is not None and isinstance(self._exchange.sender, TransportSender):
            self._exchange.sender.pause()

    def resume_writing(self) -> None:
        if self._exchange is not None and isinstance(self._exchange.sender, TransportSender):
            self._exchange.sender.resume()

    def body_moved(self) -> None:
        self.activity += 1

    def body_settled(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.deferred is not None:
            response, exchange.deferred = exchange.deferred, None
            self._complete(exchange, response)

    def body_failed(self, kind: type[WireError], detail: str | float = "", cause: BaseException | None = None) -> None:
        self._fail(self._error(kind, detail), cause)

    def body_refused(self, error: OSError) -> None:
        """Go on reading: the server may have responded before it closed its side."""
        if self._exchange is not None:
            self._exchange.refusal = error
        self.body_settled()

    # A response comes

    def get_buffer(self, _sizehint: int) -> memoryview | bytearray:
        return self._scratch if self._exchange is None else self._exchange.receiver.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self.activity += 1
        exchange = self._exchange
        if exchange is None:
            self.abort()  # bytes that belong to no request
            return
        try:
            response = exchange.receiver.feed(nbytes)
        except MalformedHTTP as error:
            self._fail(self._error(ProtocolViolation, str(error)))
            return
        except Exception as error:  # the request's own check
            self._fail(error)
            return
        if response is not None:
            self._complete(exchange, response)
        elif isinstance(exchange.request.reception.into, BlockSink):
            self._receive_in_thread(exchange, exchange.request.reception.into)

    def _receive_in_thread(self, exchange: Exchange, sink: BlockSink) -> None:
        """Hand the body to a thread once its head has arrived."""
        filled, left = exchange.receiver.in_block
        if self._transport is None or not (filled or left):
            return

        def done(error: BaseException | None) -> None:
            self._thread_done(exchange, error)

        body = RemainingBody(sink, filled, left, self._timeouts)
        exchange.threaded = ThreadedBody(body, self._transport, self._tls, done, threads=self._threads)

    def _thread_done(self, exchange: Exchange, error: BaseException | None) -> None:
        exchange.threaded = None
        self.activity += 1
        if self._exchange is not exchange:
            return
        if error is not None:
            self._fail(self._error(error.kind, error.detail) if isinstance(error, BodyBroken) else error, error)
            return
        if self._transport is not None:
            if self._tls is not None:
                self._tls.tcp_transport.resume_reading()
            self._transport.resume_reading()
        response = exchange.receiver.drained()
        if response is not None:
            self._complete(exchange, response)

    def eof_received(self) -> bool:
        # asyncio does not tell a clean end of TLS from a cut: over TLS, only a length or chunks end a body.
        exchange = self._exchange
        if exchange is not None and self._tls is None:
            response = exchange.receiver.end()
            if response is not None:
                self._complete(exchange, response)
        return False  # close the transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return  # see abort
        self.reusable = False
        self._transport = None
        exchange = self._exchange
        if exchange is not None and exchange.deferred is None and exchange.threaded is None:
            cause = exc or exchange.refusal
            reason = "closed by the server" if cause is None else str(cause)
            self._fail(self._error(ConnectionLost, reason), cause)
        self._on_lost(self)

    def _complete(self, exchange: Exchange, response: Response) -> None:
        if exchange.request.body is not None:
            if not self._body_has_left(exchange):
                if exchange.sender is not None and exchange.sender.busy:
                    exchange.deferred = response
                    return
                if response.status < 300:
                    self._fail(self._error(ProtocolViolation, f"{response.status} before the whole body was sent"))
                    return
                response.keep_alive = False
            elif exchange.sent >= TELLING_BYTES:
                self._line.answered(exchange.sent, self._loop.time() - exchange.began_at)
        self._exchange = None
        exchange.stop()
        if not response.keep_alive:
            self.abort()
        if not exchange.future.done():
            exchange.future.set_result(response)

    def _body_has_left(self, exchange: Exchange) -> bool:
        if exchange.sender is not None and not exchange.sender.done:
            return False
        return self._transport is None or self._transport.get_write_buffer_size() == 0

    # An exchange ends

    def abort(self) -> None:
        """Close at once and drop the exchange with its buffers; ``on_lost`` follows."""
        self.reusable = False
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.stop()
        if self._transport is None:
            return
        threaded = None if exchange is None else exchange.threaded
        if self._tls is not None and threaded is not None:
            threaded.abort_later(self._transport)
            self._transport = None
            self._loop.call_soon(self._on_lost, self)
        else:
            self._transport.abort()

    def _fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        if cause is not None and cause is not error:
            error.__cause__ = cause
        exchange = self._exchange
        self.abort()
        if exchange is not None and not exchange.future.done():
            exchange.future.set_exception(error)

    def close(self) -> None:
        """Close at once; the current exchange fails with PoolClosed."""
        self._fail(self._error(PoolClosed))

    def disown(self) -> None:
        """In a forked child: release the parent's connection without telling the server or the parent's loop.

        The descriptor is made to refer to the null device, so that closing it later closes only that.
        """
        self.reusable = False
        if self._transport is not None:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, self._transport.get_extra_info("socket").fileno(), inheritable=False)
            os.close(null)

    def _error(self, kind: type[WireError], detail: str | float = "") -> WireError:
        """An error of this exchange, with the number of bytes moved."""
        exchange = self._exchange
        sent, received = (0, 0) if exchange is None else (exchange.sent, exchange.receiver.received)
        return kind(self._endpoint, detail, bytes_sent=sent, bytes_received=received)

    # Time passes

    def check(self, now: float) -> None:
        """Close the connection if it was unused for too long; fail an exchange that waited for too long."""
        exchange = self._exchange
        if exchange is None:
            if self._watch.is_idle_for_long(now, self.activity):
                self.abort()
        elif exchange.threaded is not None:
            self._watch.passes(now)
        elif expired := self._watch.expired(now, self._state(exchange)):
            self._fail(self._error(*expired))

    def _state(self, exchange: Exchange) -> ExchangeState:
        unsent, sender = self.unsent_bytes(), exchange.sender
        return ExchangeState(
            self.exchanges,
            self.activity,
            exchange.sent,
            unsent,
            is_sending=unsent > 0 or (sender is not None and not sender.done),
            reads_disk=sender is not None and sender.reads_disk,
            received=exchange.receiver.received,
            patience_seconds=exchange.request.reception.patience_seconds,
        )

    def unsent_bytes(self) -> int:
        """Bytes that the server's host has not acknowledged yet."""
        if self._transport is None:
            return 0
        return unsent_in_kernel(self._transport.get_extra_info("socket")) + self._transport.get_write_buffer_size()
