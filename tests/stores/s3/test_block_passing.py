"""Long bodies on their way to a sink: plain and TLS, on both loops, against a server that does what each test says."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from snapdir.stores.blocks import SMALLEST_BLOCK_BYTES, BlockSink
from snapdir.stores.s3.http_parsing import Response
from snapdir.stores.s3.pool import Pool
from snapdir.stores.s3.receiving import SCRATCH_BYTES
from snapdir.stores.s3.timeouts import Timeouts
from snapdir.stores.s3.wire import Connection, Request
from snapdir.stores.s3.wire_errors import (
    ConnectionLost,
    FirstByteTimeout,
    PoolClosed,
    ProtocolViolation,
    StallTimeout,
    WireError,
)
from snapdir.testing.back_doors import Collecting
from tests.stores.s3.scripted_server import (
    Peer,
    Script,
    ScriptedServer,
    answer,
    client_tls,
    ok,
    serve,
    server_tls,
    until,
)

BLOCK = SMALLEST_BLOCK_BYTES
QUICK = Timeouts(first_byte_seconds=0.06, stall_seconds=0.06)
CONTENT = os.urandom(5 * BLOCK + 77)


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


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
    return await pool.request(b"GET", b"/", into=sink, max_body_bytes=1 << 30, check=check)


class Held(Collecting):
    """A sink that is slow: each block waits until it is let go.

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


# What arrives


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 40 * BLOCK + 3])
async def test_a_body_passes_in_order_and_its_connection_is_used_again(tls: bool, size: int) -> None:
    content = os.urandom(size)
    async with talk(answer(ok(content), ok(content), ok(b"small")), tls=tls) as (_, pool):
        for _ in range(2):
            sink = Collecting()
            response = await get(pool, sink)
            assert (response.status, response.body, response.received) == (200, b"", size)
            assert sink.data == content
            assert sink.consumed == size
            sink.free_block()
        assert (await pool.request(b"GET", b"/")).body == b"small"
        assert pool.opened == 1


@pytest.mark.parametrize("block_bytes", [BLOCK, BLOCK + 1, 3 * BLOCK + 5, 64 * BLOCK])
async def test_a_block_may_have_any_size(tls: bool, block_bytes: int) -> None:
    async with talk(answer(ok(CONTENT)), tls=tls) as (_, pool):
        sink = Collecting(block_bytes=block_bytes)
        await get(pool, sink)
        assert sink.data == CONTENT


async def test_a_body_may_come_in_any_pieces(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        wire = b"HTTP/1.1 103 Early Hints\r\n\r\n" + ok(CONTENT)
        start = 0
        for size in (1, 20, 35, 1, 1, 300, 70_000, BLOCK, len(wire)):
            await peer.send(wire[start : start + size])
            await asyncio.sleep(0)
            start += size
        await peer.until_closed()

    async with talk(script, tls=tls) as (_, pool):
        sink = Collecting()
        await get(pool, sink)
        assert sink.data == CONTENT


async def test_bodies_on_many_connections_do_not_mix(tls: bool) -> None:
    def script(number: int) -> Script:
        return answer(*[ok(b"%d " % number + CONTENT)] * 3)

    async with talk(*map(script, range(8)), tls=tls, max_connections=8) as (_, pool):
        numbers = []

        async def ask() -> None:
            for _ in range(3):
                sink = Collecting()
                await get(pool, sink)
                number, _, content = bytes(sink.data).partition(b" ")
                assert content == CONTENT
                numbers.append(int(number))

        await asyncio.gather(*[ask() for _ in range(8)])
        assert sorted(numbers) == sorted([*range(8)] * 3)


async def test_a_body_behind_which_the_server_closes_comes_whole_or_is_lost(tls: bool) -> None:
    """uvloop forgets what it has not deciphered when the peer is gone; a reader goes on behind what was consumed."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT, b"Connection: close"))
        await peer.close()

    async with talk(script, answer(ok(b"next")), tls=tls) as (_, pool):
        sink = Collecting()
        try:
            await get(pool, sink)
        except ConnectionLost:
            assert tls
            assert 0 < sink.consumed < len(CONTENT)
        else:
            assert sink.consumed == len(CONTENT)
        assert sink.data == CONTENT[: sink.consumed]
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def test_bytes_behind_a_body_do_not_reach_the_sink_and_close_the_connection(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT) + b"surplus")
        await peer.until_closed()

    async with talk(script, answer(ok(b"next")), tls=tls) as (server, pool):
        sink = Collecting()
        await get(pool, sink)
        assert sink.data == CONTENT
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).body == b"next"


# What does not


@pytest.mark.parametrize("status", [b"404 Not Found", b"503 Slow Down", b"307 Moved"])
async def test_what_is_no_success_goes_nowhere_near_the_sink(tls: bool, status: bytes) -> None:
    async with talk(answer(ok(b"<Error/>", status=status), ok(CONTENT)), tls=tls) as (_, pool):
        sink = Collecting()
        assert (await get(pool, sink)).body == b"<Error/>"
        assert (sink.consumed, bytes(sink.block)) == (0, bytes(BLOCK))
        await get(pool, sink)
        assert sink.data == CONTENT
        assert pool.opened == 1


async def test_a_longer_body_than_allowed_is_refused_before_a_byte_passes(tls: bool) -> None:
    async with talk(until_closed, answer(ok(b"next")), tls=tls) as (_, pool):
        sink = Collecting()
        with pytest.raises(ProtocolViolation, match="where 1000 were allowed"):
            await pool.request(b"GET", b"/", into=sink, max_body_bytes=1000)
        assert (sink.consumed, bytes(sink.block)) == (0, bytes(BLOCK))
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def until_closed(peer: Peer) -> None:
    await peer.request()
    await peer.send(ok(CONTENT[:1001]))
    await peer.until_closed()


async def test_what_the_check_raises_leaves_before_a_byte_passes(tls: bool) -> None:
    def refuse(response: Response) -> None:
        raise LookupError(response.header(b"content-range"))

    async with talk(answer(ok(b"fine", b"Content-Range: x")), answer(ok(b"next")), tls=tls) as (_, pool):
        sink = Collecting()
        with pytest.raises(LookupError, match="x"):
            await get(pool, sink, refuse)
        assert (sink.consumed, bytes(sink.block)) == (0, bytes(BLOCK))
        assert (await pool.request(b"GET", b"/")).body == b"next"


@pytest.mark.parametrize("error", [ValueError("full"), OSError(28, "full"), EOFError("full")], ids=repr)
async def test_what_a_sink_raises_leaves_and_closes_the_connection(
    tls: bool, error: Exception, open_descriptors: None
) -> None:
    async with talk(unheard, answer(ok(b"next")), tls=tls) as (server, pool):
        sink = Collecting(error)
        with pytest.raises(type(error)) as caught:
            await get(pool, sink)
        assert caught.value is error
        assert sink.consumed == 0
        sink.free_block()
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def unheard(peer: Peer) -> None:
    """Sends a body, whoever may have gone meanwhile."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await peer.request()
        await peer.send(ok(CONTENT))
    await peer.until_closed()


# What ends early


@pytest.mark.parametrize("sent", [0, 10, BLOCK, 3 * BLOCK + 10])
@pytest.mark.parametrize("end", [Peer.close, Peer.cut, Peer.reset])
async def test_a_body_that_ends_early_is_lost_behind_what_was_consumed(
    tls: bool, sent: int, end, open_descriptors: None
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT)[: -len(CONTENT)] + CONTENT[:sent])
        await end(peer)
        await peer.until_closed()

    async with talk(script, answer(ok(b"next")), tls=tls) as (_, pool):
        sink = Collecting()
        with pytest.raises(ConnectionLost) as caught:
            await get(pool, sink)
        if end is not Peer.reset:  # RST may overtake what was sent
            assert caught.value.response_started
            # What TLS has not deciphered when the peer is gone is lost with it.
            assert sink.consumed <= sent // BLOCK * BLOCK if tls else sink.consumed == sent // BLOCK * BLOCK
        assert CONTENT.startswith(sink.data)
        assert len(sink.data) == sink.consumed
        sink.free_block()
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def test_a_stale_connection_is_replaced_before_a_byte_passes(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.request()
        await peer.close()

    async with talk(script, answer(ok(CONTENT)), tls=tls) as (_, pool):
        await pool.request(b"GET", b"/")
        sink = Collecting()
        await get(pool, sink)
        assert sink.data == CONTENT
        assert (pool.opened, pool.repeated) == (2, 1)


@pytest.mark.parametrize("sent", [0, 10, BLOCK, 3 * BLOCK + 10])
async def test_a_body_that_stands_still_is_a_stall_within_its_limit(tls: bool, sent: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT)[: -len(CONTENT)] + CONTENT[:sent])
        await peer.until_closed()

    async with talk(script, answer(ok(b"next")), tls=tls, timeouts=QUICK) as (server, pool):
        sink = Collecting()
        began = time.monotonic()
        with pytest.raises(StallTimeout, match=r"nothing moved for 0\.06 s"):
            await get(pool, sink)
        # A quick limit on a busy machine: it is far from the ones that are there by themselves.
        assert QUICK.stall_seconds <= time.monotonic() - began < Timeouts().idle_seconds
        assert sink.data == CONTENT[: sink.consumed]
        assert sink.consumed == sent // BLOCK * BLOCK
        sink.free_block()
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def test_no_answer_is_a_first_byte_timeout(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.until_closed()

    async with talk(script, tls=tls, timeouts=QUICK) as (_, pool):
        with pytest.raises(FirstByteTimeout):
            await get(pool, Collecting())


async def test_a_body_that_drips_is_no_stall(tls: bool) -> None:
    """Each drop comes when the one before has been received: later than the limit, counted from the head."""
    drops = 3

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT)[: -len(CONTENT)])
        for number in range(drops):
            await peer.send(CONTENT[number * 10 : number * 10 + 10])
            received = CONTENT[: number * 10 + 10]
            await until(lambda: bytes(sink.block[: len(received)]) == received)  # noqa: B023
        await peer.send(CONTENT[drops * 10 :])
        await peer.until_closed()

    sink = Collecting()
    async with talk(script, tls=tls, timeouts=Timeouts(stall_seconds=0.3)) as (_, pool):
        await get(pool, sink)
        assert sink.data == CONTENT


async def test_a_slow_sink_is_no_stall(tls: bool) -> None:
    connections: list[Connection] = []

    def make() -> Connection:
        limits = Timeouts(stall_seconds=30, first_byte_seconds=30)
        connections.append(Connection("localhost", 1, limits, bytearray(SCRATCH_BYTES), lambda _: None))
        return connections[-1]

    async with serve(answer(ok(CONTENT)), tls=server_tls() if tls else None) as server:
        context = client_tls() if tls else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(make, "127.0.0.1", server.port, ssl=context)
        (connection,) = connections
        sink = Held()
        request = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None, False, sink, 1 << 30)
        exchange = connection.exchange(request)
        await until(sink.begun.is_set)
        now = loop.time()
        for waited in (0, 29, 31, 10_000):
            connection.check(now + waited)
        assert not exchange.done()
        sink.go.set()
        await exchange
        assert sink.data == CONTENT
        connection.abort()


# Cancelled and closed


async def test_cancelling_while_bytes_are_waited_for_closes_and_passes_no_more(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT)[: -len(CONTENT)] + CONTENT[: BLOCK + 10])
        await peer.until_closed()

    async with talk(script, answer(ok(b"next")), tls=tls) as (server, pool):
        sink = Collecting()
        task = asyncio.create_task(get(pool, sink))
        await until(lambda: sink.consumed == BLOCK)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        sink.free_block()
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).body == b"next"
        assert sink.data == CONTENT[:BLOCK]


async def test_cancelling_waits_for_the_thread_that_has_the_block(tls: bool, open_descriptors: None) -> None:
    async with talk(unheard, answer(ok(b"next")), tls=tls) as (server, pool):
        sink = Held()
        task = asyncio.create_task(get(pool, sink))
        await until(sink.begun.is_set)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not task.done()
        await server.peers[0].ended.wait()  # the connection is closed meanwhile
        assert not task.done()
        sink.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        consumed = sink.consumed
        assert sink.data == CONTENT[:consumed]
        sink.free_block()
        assert (await pool.request(b"GET", b"/")).body == b"next"
        assert sink.consumed == consumed


async def test_cancelling_at_any_time_leaves_the_block_alone(tls: bool) -> None:
    scripts: list[Script] = [unheard] * 30
    async with talk(*scripts, answer(ok(b"next")), tls=tls, max_connections=2) as (_, pool):
        for turns in range(30):
            sink = Collecting()
            task = asyncio.create_task(get(pool, sink))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(result, asyncio.CancelledError) or sink.data == CONTENT
            assert sink.data == CONTENT[: sink.consumed]
            sink.free_block()


@pytest.mark.parametrize("held", [False, True], ids=["waiting for bytes", "within the sink"])
async def test_closing_the_pool_fails_a_body_under_way(tls: bool, held: bool, open_descriptors: None) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT)[: -len(CONTENT)] + CONTENT[: BLOCK + 10])
        await peer.until_closed()

    async with talk(script, tls=tls) as (server, pool):
        sink = Held() if held else Collecting()
        task = asyncio.create_task(get(pool, sink))
        await until(lambda: sink.begun.is_set() if isinstance(sink, Held) else sink.consumed == BLOCK)
        await pool.aclose()
        await server.peers[0].ended.wait()
        if isinstance(sink, Held):
            await asyncio.sleep(0)
            assert not task.done()
            sink.go.set()
        with pytest.raises(PoolClosed):
            await task
        assert sink.data == CONTENT[: sink.consumed]
        sink.free_block()
        with pytest.raises(PoolClosed):
            await get(pool, Collecting())


async def test_every_way_to_fail_is_one_of_the_wire(tls: bool) -> None:
    """Nothing of a thread's own kind of error gets out."""
    async with talk(unheard, tls=tls) as (server, pool):
        sink = Held()
        task = asyncio.create_task(get(pool, sink))
        await until(sink.begun.is_set)
        await server.peers[0].reset()
        sink.go.set()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(result, WireError | Response)
        assert sink.data == CONTENT[: sink.consumed]
