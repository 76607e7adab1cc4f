"""A server on loopback that follows a script, byte by byte.

Each connection is played by one script, in the order of their coming::

    async def answer_once(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        await peer.reset()

    async with serve(answer_once) as server:
        pool = Pool("127.0.0.1", server.port)
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from snapdir.stores.s3.http.tls import ResumingContext

__all__ = ["CERTIFICATE", "Peer", "ScriptedServer", "answer", "client_tls", "ok", "serve", "server_tls", "until"]

CERTIFICATE = Path(__file__).with_name("localhost.pem")


def ok(body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A well-formed response."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


class Peer:
    """The server's end of one connection.

    Attributes:
        address: The address the client came to.
        ended: The client closed (or reset) the connection; set once something tried to read to its end.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.address: str = writer.get_extra_info("sockname")[0]
        self.ended = asyncio.Event()

    @property
    def session_reused(self) -> bool:
        """Whether the client resumed an earlier TLS session."""
        return bool(self._writer.get_extra_info("ssl_object").session_reused)

    async def head(self) -> bytes:
        """The head of the next request."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def read(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    async def request(self) -> tuple[bytes, bytes]:
        """The next request, head and body."""
        head = await self.head()
        lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")]
        return head, await self.read(sum(lengths))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def until_closed(self) -> bytes:
        """Wait for the client to close; what it sent before."""
        try:
            rest = await self._reader.read()
        except ConnectionError:
            rest = b""
        self.ended.set()
        return rest

    async def close(self) -> None:
        self._writer.close()

    async def cut(self) -> None:
        """End the connection with FIN, without the goodbye that TLS has before it."""
        await asyncio.sleep(0)  # a transport may keep what it was given until the next turn of the loop
        await asyncio.sleep(0)
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        """End the connection with RST."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[object]]


def answer(*responses: bytes) -> Script:
    """A script that answers requests with ``responses`` and then waits for the client to close."""

    async def play(peer: Peer) -> None:
        for response in responses:
            await peer.request()
            await peer.send(response)
        assert await peer.until_closed() == b""

    return play


class ScriptedServer:
    """Plays scripts.

    Attributes:
        peers: Every connection so far.
    """

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self._scripts = scripts
        self.peers: list[Peer] = []
        self.tasks: list[asyncio.Task[object]] = []
        self.handlers: list[asyncio.Task[object] | None] = []
        self.port = 0
        self._arrived = asyncio.Event()

    async def arrived(self, count: int) -> None:
        """Wait until ``count`` connections have come."""
        while len(self.peers) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def played(self) -> None:
        """Wait until all scripts have ended; raises what they raise."""
        await self.arrived(len(self._scripts))
        await asyncio.gather(*self.tasks)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._arrived.set()
        self.handlers.append(asyncio.current_task())
        task = asyncio.ensure_future(self._play(peer, len(self.peers) - 1))
        self.tasks.append(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            writer.transport.abort()

    async def _play(self, peer: Peer, number: int) -> object:
        assert number < len(self._scripts), "a connection that no script expects"
        return await self._scripts[number](peer)


@asynccontextmanager
async def serve(
    *scripts: Script, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Play ``scripts``. An assertion that fails in one fails the test at the end of the block, as does a task left."""
    before = asyncio.all_tasks()
    scripted = ScriptedServer(scripts)
    server = await asyncio.start_server(scripted.accept, host, port, ssl=tls, limit=1 << 22)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for task in scripted.tasks:
            if not task.done():
                task.cancel()
        await asyncio.gather(*scripted.tasks, *filter(None, scripted.handlers), return_exceptions=True)
        await server.wait_closed()
    for _ in range(100):  # a handshake that the client broke off ends a few turns of the loop later
        if not asyncio.all_tasks() <= before:
            await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before
    for task in scripted.tasks:
        if not task.cancelled() and task.exception() is not None:
            raise task.exception() or AssertionError


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until ``condition`` holds: for what has no event of its own."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_tls() -> ResumingContext:
    """Trusts only the test server's certificate."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    return context
