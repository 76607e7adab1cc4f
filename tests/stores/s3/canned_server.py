"""An S3 endpoint on loopback that gives prepared responses, one per request, on any number of connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["XML", "Answer", "CannedServer", "Exchange", "Request", "canned", "cut", "error", "ignore", "reply"]

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
S3 = {"x-amz-request-id": "REQUEST-1", "ETag": '"etag-1"'}


@dataclass
class Request:
    """A received request. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def region(self) -> str:
        """The signed headers."""
        return self.headers["authorization"].split("Credential=")[1].split("/")[2]


@dataclass
class Exchange:
    """What an answer may do: the request, whose body has not been read yet, and the connection."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_body(self) -> None:
        self.request.body = await self.reader.readexactly(int(self.request.headers.get("content-length", 0)))


Answer = Callable[[Exchange], Awaitable[bool]]
"""Answers one request; whether the connection goes on."""


def reply(
    body: str | bytes = b"", *, status: int = 200, s3: bool = True, length: int | None = -1, **headers: str
) -> Answer:
    """A well-formed response. ``s3``: with S3's headers; ``length``: the Content-Length, None for none."""
    data = body.encode() if isinstance(body, str) else body
    lines = {**(S3 if s3 else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
    if length is not None:
        lines["Content-Length"] = str(len(data) if length == -1 else length)
    head = f"HTTP/1.1 {status} Canned\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def play(exchange: Exchange) -> bool:
        await exchange.read_body()
        exchange.writer.write(head.encode() + b"\r\n" + (b"" if exchange.request.method == "HEAD" else data))
        await exchange.writer.drain()
        return length is not None

    return play


def error(code: str, status: int, message: str = "Because.", more: str = "", **headers: str) -> Answer:
    """An S3 error as S3 writes it."""
    text = f"{XML}<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>REQUEST-1</RequestId></Error>"
    return reply(text, status=status, **headers)


def cut(data: bytes) -> Answer:
    """Exactly these bytes, then the connection ends."""

    async def play(exchange: Exchange) -> bool:
        await exchange.read_body()
        exchange.writer.write(data)
        await exchange.writer.drain()
        return False

    return play


def ignore(*, body_read: bool = True, first: bytes = b"") -> Answer:
    """``first`` and then nothing until the client gives up; without ``body_read`` the body stays where it is."""

    async def play(exchange: Exchange) -> bool:
        if body_read:
            await exchange.read_body()
        exchange.writer.write(first)
        if body_read:
            await exchange.reader.read()
        else:
            await asyncio.Event().wait()
        return False

    return play


class CannedServer:
    """A running one.

    Attributes:
        requests: All that came, in order.
        left: Answers nobody asked for yet; the last one is given again and again.
    """

    def __init__(self, answers: tuple[Answer, ...], scheme: str) -> None:
        self.left = list(answers)
        self.requests: list[Request] = []
        self.port = 0
        self._scheme = scheme
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.transport.abort()
            self._handlers.discard(task)

    def play(self, *answers: Answer) -> None:
        """Start over with other responses."""
        self.left = list(answers)
        self.requests = []

    async def stop(self) -> None:
        """End every connection."""
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Request(method, target, headers, b"")
        self.requests.append(request)
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return await answer(Exchange(request, reader, writer))


@asynccontextmanager
async def canned(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[CannedServer]:
    running = CannedServer(answers, "https" if tls else "http")
    server = await asyncio.start_server(running.handle, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        await running.stop()
        await server.wait_closed()
