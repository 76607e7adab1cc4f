"""Keep-alive connections to one endpoint, and the requests that share them."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import anyio

from snapdir.stores.base import Body, body_length
from snapdir.stores.s3.http.connecting import open_connection, out_of_descriptors
from snapdir.stores.s3.http.connection import Connection, Exchange, Request
from snapdir.stores.s3.http.dns import AddressBook, SocketAddress, resolve
from snapdir.stores.s3.http.endpoint import Endpoint, Proxy
from snapdir.stores.s3.http.errors import ConnectFailed, ConnectionLost, PoolClosed
from snapdir.stores.s3.http.responses import PLAIN, SCRATCH_BYTES, Reception, Response
from snapdir.stores.s3.http.timeouts import LineRate, Timeouts
from snapdir.stores.s3.http.tls import ResumingContext

_DEFAULT_TIMEOUTS = Timeouts()
_WITH_LENGTH = (b"PUT", b"POST")
# Methods that can be repeated if the first response was lost (RFC 9110, 9.2.2).
_REPEATABLE = (b"GET", b"HEAD", b"PUT", b"DELETE")
_UNSAFE_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")


class Pool:
    """Up to ``max_connections`` connections to one endpoint; further requests wait in line.

    A request goes out on the connection that was used last. If that turns out to have been closed by the server before
    it answered, the request is repeated once, silently, on another (not POST). Other failures are left to the caller.

    A pool belongs to the loop of its first request. In a forked child, and once that loop is closed, it starts over
    with the loop of the next request.

    Attributes:
        opened: Connections opened so far.
        repeated: Requests that were repeated on another connection.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ssl_context: ResumingContext | None = None,
        proxy: Proxy | None = None,
        max_connections: int = 64,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        resolve: Callable[[str, int], Sequence[SocketAddress]] = resolve,
    ) -> None:
        """Opens nothing yet.

        Args:
            ssl_context: Speak TLS, and verify the server by this; None: plain TCP.
            proxy: Reach the server through it.
            resolve: Looks up addresses; called in a thread.
        """
        self._endpoint = Endpoint(host, port, ssl_context, proxy)
        self.host_header = self._endpoint.host_header
        self._before_path, self._first_lines = self._endpoint.request_lines
        self._timeouts = timeouts
        self._max_connections = max_connections
        self._book = AddressBook(*self._endpoint.first_hop, lifetime_seconds=timeouts.resolve_seconds, resolve=resolve)
        self._scratch = bytearray(SCRATCH_BYTES)
        self._line = LineRate()
        self._closed = False
        self.opened = 0
        self.repeated = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inherited: list[Connection] = []
        self._start_over()

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._count = 0  # connections that are open or being opened
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        # A thread is started when a body needs one, up to one per connection: each stays with its body to the end.
        self._threads = ThreadPoolExecutor(max(1, self._max_connections), "snapdir-body")
        self._book.forget()

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: bytes = b"",
        body: Body | None = None,
        reception: Reception = PLAIN,
    ) -> Response:
        """Send one request and receive its whole response, of any status.

        Args:
            target: Path and query, percent-encoded, sent as it is.
            headers: Lines, each ended by CRLF. Host and Content-Length are added.
            body: Bytes, or a range of an open file, which stays open until the call returns. A file goes out by
                sendfile over plain TCP, and in blocks over TLS.
            reception: Bodies of other responses than a 2xx are in ``Response.body``.

        Raises:
            WireError: no whole response came; its subclasses say why.
            ValueError: ``target``, ``headers`` or ``reception.into`` are not as above.
        Cancellation: closes the connection; nothing is written to ``reception.into`` afterwards, and no thread has the
            block of a sink when this returns or raises.
        """
        if os.getpid() != self._pid or asyncio.get_running_loop() is not self._loop:
            self._adopt_loop()
        into = reception.into
        if isinstance(into, memoryview) and (into.readonly or into.itemsize != 1 or into.ndim != 1):
            raise ValueError("into must be a flat writable buffer of bytes")
        body_bytes = 0 if body is None else body_length(body)
        head = self._head(method, target, headers, None if body is None else body_bytes)
        request = Request(head, body, body_bytes, method == b"HEAD", reception)
        connection = self._idle.pop() if self._idle else await self._acquire()
        try:
            return await self._exchange(connection, request)
        except ConnectionLost as lost:
            if lost.response_started or connection.exchanges == 1 or method not in _REPEATABLE:
                raise
        self.repeated += 1
        if self._idle and self._count >= self._max_connections:
            self._idle.pop(0).abort()  # as old as the lost one: make room for a new one
        return await self._exchange(await self._acquire(first=True), request)

    async def _exchange(self, connection: Connection, request: Request) -> Response:
        exchange = connection.begin(request)
        try:
            response = await exchange.future
        except BaseException:
            await _end(connection, exchange)
            raise
        self._release(connection)
        return response

    def _head(self, method: bytes, target: bytes, headers: bytes, body_bytes: int | None) -> bytes:
        if not target.startswith(b"/") or _UNSAFE_IN_TARGET.search(target):
            raise ValueError(f"not a request target: {target!r}")
        if headers and (not headers.endswith(b"\r\n") or b"\r\n\r\n" in headers):
            raise ValueError(f"not lines of headers: {headers!r}")
        length = b""
        if body_bytes is not None or method in _WITH_LENGTH:
            length = b"Content-Length: %d\r\n" % (body_bytes or 0)
        parts = (method, self._before_path, target, self._first_lines, headers, length)
        return b"%b %b%b HTTP/1.1\r\n%b%b%b\r\n" % parts

    # Connections come and go

    async def _acquire(self, *, first: bool = False) -> Connection:
        """A connection for one exchange: released by another request, or new. First come, first served."""
        while not self._closed:
            if self._count < self._max_connections and (first or not self._waiters):
                self._count += 1
                return await self._connect()
            granted = await self._wait(first=first)
            if granted is None:
                return await self._connect()
            if granted.reusable:
                return granted
        raise PoolClosed(self._endpoint)

    async def _wait(self, *, first: bool) -> Connection | None:
        """A connection, or None: leave to open one, which is counted already."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:
                self._return_grant(waiter.result())
            raise

    def _return_grant(self, granted: Connection | None) -> None:
        if granted is not None:
            self._release(granted)
        else:
            self._count -= 1
            self._grant()

    async def _connect(self) -> Connection:
        make = partial(
            Connection,
            self._endpoint,
            self._timeouts,
            self._scratch,
            self._on_lost,
            threads=self._threads,
            line=self._line,
        )
        try:
            connection = await open_connection(
                self._endpoint, self._book, make, connect_seconds=self._timeouts.connect_seconds
            )
            self._admit(connection)
        except BaseException as error:
            self._count -= 1
            if self._connections and out_of_descriptors(error):
                self._max_connections = self._count  # no descriptor left for another connection
                return await self._acquire(first=True)
            self._grant()
            raise
        return connection

    def _admit(self, connection: Connection) -> None:
        if not connection.reusable:
            raise ConnectFailed(self._endpoint, "closed at once")
        if self._closed:
            connection.abort()
            raise PoolClosed(self._endpoint)
        self.opened += 1
        self._connections.add(connection)
        if self._sweeper is None:
            self._schedule_sweep()

    def _release(self, connection: Connection) -> None:
        context = self._endpoint.ssl_context
        if connection.exchanges == 1 and context is not None:
            context.session = connection.tls_session  # the server's tickets come after the handshake
        if not connection.reusable:
            return  # _on_lost will be called for it, or was
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def _on_lost(self, connection: Connection) -> None:
        if connection not in self._connections:
            return  # it failed while being opened, or belongs to an earlier loop
        self._connections.remove(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._count -= 1
        self._grant()
        if not self._connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _grant(self) -> None:
        """Let waiting requests open connections, as far as the limit allows."""
        while self._waiters and self._count < self._max_connections:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._count += 1
                waiter.set_result(None)

    def _schedule_sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(self._timeouts.sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        """Check every time limit. One timer for all: a timer for each request would cost more than its head."""
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for connection in tuple(self._connections):
            connection.check(now)
        if self._connections:
            self._schedule_sweep()

    # Loops and processes come and go

    def _adopt_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if os.getpid() != self._pid:
            for connection in self._connections:
                connection.disown()
            # Kept: to be collected, a transport would reach into the parent's selector.
            self._inherited += self._connections
            self._start_over()
        elif self._loop is not None:
            if not self._loop.is_closed():
                raise RuntimeError("this pool is in use on another event loop: make one for each loop")
            self._start_over()
        self._loop = loop

    async def aclose(self) -> None:
        """Close every connection; requests in flight and in line fail with PoolClosed. Safe to repeat."""
        self._closed = True
        if os.getpid() != self._pid or asyncio.get_running_loop() is not self._loop:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(PoolClosed(self._endpoint))
        self._waiters.clear()
        self._threads.shutdown(wait=False)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._connections:
            self._emptied = self._emptied or self._loop.create_future()
            for connection in tuple(self._connections):
                connection.close()
            await asyncio.shield(self._emptied)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _end(connection: Connection, exchange: Exchange) -> None:
    """Close the connection at once, and wait for a thread that still has the sink's block, even if cancelled."""
    connection.abort()
    threaded = exchange.threaded
    if threaded is None:
        return
    settling = asyncio.ensure_future(threaded.settled())
    # The scope: anyio cancels a task at every turn of the loop until it leaves its cancelled scope, which would keep a
    # processor busy meanwhile. The loop: Task.cancel() bypasses scopes.
    with anyio.CancelScope(shield=True):
        while not settling.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(settling)
