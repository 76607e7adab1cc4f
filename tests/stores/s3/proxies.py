"""Proxies for tests: a real one, and one in Python that speaks TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.needed import needed

__all__ = ["TinyProxy", "relay", "tinyproxy"]

START_SECONDS = 30


class TinyProxy:
    """A running tinyproxy.

    Attributes:
        port: Of 127.0.0.1.
    """

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        """Method and target of each that came, from its log."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [" ".join(line.rpartition("): ")[2].split()[:2]) for line in lines if "Request (" in line]


@contextmanager
def tinyproxy(folder: Path, *settings: str) -> Iterator[TinyProxy]:
    """The proxy, with more ``settings`` of its own. Without ``ConnectPort`` it opens tunnels to any port."""
    program = needed("tinyproxy")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config, log = folder / "tinyproxy.conf", folder / "tinyproxy.log"
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 100", "LogLevel Connect", f'LogFile "{log}"']
    config.write_text("\n".join([*lines, *settings, ""]))
    with subprocess.Popen([program, "-d", "-c", str(config)], stdout=subprocess.DEVNULL) as process:
        try:
            _await_port(port, process)
            yield TinyProxy(port, log)
        finally:
            process.terminate()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    raise RuntimeError("tinyproxy did not start")


@asynccontextmanager
async def relay(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy that opens every tunnel, and speaks ``tls`` itself: its port, and the heads of its requests."""
    heads: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heads[-1].split()[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pumps = [asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))]
        tasks.update(pumps)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
