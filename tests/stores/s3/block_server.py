"""A scripted server, and a pool that passes long bodies from it to a sink."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from snapdir.stores.blocks import MIN_BLOCK_BYTES, BlockSink
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import Reception, Response
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.testing.back_doors import Collecting
from tests.stores.s3.scripted_server import Peer, Script, ScriptedServer, client_tls, ok, serve, server_tls

BLOCK = MIN_BLOCK_BYTES
CONTENT = os.urandom(5 * BLOCK + 77)

EVERY_WAY = [
    pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"]),
    pytest.mark.parametrize(
        "anyio_backend",
        [("asyncio", {"use_uvloop": uvloop}) for uvloop in (True, False)],
        ids=["uvloop", "asyncio"],
    ),
]
"""Plain and over TLS, on both loops."""


@asynccontextmanager
async def talk(
    *scripts: Script, tls: bool, timeouts: Timeouts | None = None, max_connections: int = 1
) -> AsyncIterator[tuple[ScriptedServer, Pool]]:
    """A server, and a pool of connections to it."""
    async with serve(*scripts, tls=server_tls() if tls else None) as server:
        context = client_tls() if tls else None
        limits = timeouts or Timeouts()
        async with Pool(
            "127.0.0.1", server.port, ssl_context=context, max_connections=max_connections, timeouts=limits
        ) as pool:
            yield server, pool


async def get(pool: Pool, sink: BlockSink, check: Callable[[Response], None] | None = None) -> Response:
    return await pool.request(b"GET", b"/", reception=Reception(into=sink, max_body_bytes=1 << 30, check=check))


class Held(Collecting):
    """A slow sink: each block waits until the test releases it.

    Attributes:
        begun: A thread has a block.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go = threading.Event()

    def put(self, length: int) -> None:
        self.begun.set()
        self.go.wait()
        super().put(length)


async def unheard(peer: Peer) -> None:
    """Sends a body, even if the client has gone."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await peer.request()
        await peer.send(ok(CONTENT))
    await peer.until_closed()
