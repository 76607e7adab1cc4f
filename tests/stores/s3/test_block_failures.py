"""Long bodies for a sink that end early, stall or are cancelled: the sink keeps what arrived before."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.connecting import open_connection
from snapdir.stores.s3.http.connection import Connection, Request
from snapdir.stores.s3.http.dns import AddressBook
from snapdir.stores.s3.http.endpoint import Endpoint
from snapdir.stores.s3.http.errors import (
    ConnectionLost,
    FirstByteTimeout,
    PoolClosed,
    StallTimeout,
    WireError,
)
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import SCRATCH_BYTES, Reception, Response
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.testing.back_doors import Collecting
from tests.stores.s3.block_server import BLOCK, CONTENT, EVERY_WAY, Held, get, talk, unheard
from tests.stores.s3.scripted_server import (
    Peer,
    Script,
    answer,
    client_tls,
    ok,
    serve,
    server_tls,
    until,
)

QUICK_SECONDS = 0.06

pytestmark = EVERY_WAY


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
            assert sink.consumed == sent // BLOCK * BLOCK
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

    async with talk(script, answer(ok(b"next")), tls=tls, timeouts=Timeouts(stall_seconds=QUICK_SECONDS)) as (
        server,
        pool,
    ):
        sink = Collecting()
        began = time.monotonic()
        with pytest.raises(StallTimeout, match=r"no data for 0\.06 s"):
            await get(pool, sink)
        # A quick limit on a busy machine: it is far from the ones that are there by themselves.
        assert QUICK_SECONDS <= time.monotonic() - began < Timeouts().idle_seconds
        assert sink.data == CONTENT[: sink.consumed]
        assert sink.consumed == sent // BLOCK * BLOCK
        sink.free_block()
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def test_no_answer_is_a_first_byte_timeout(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.until_closed()

    async with talk(script, tls=tls, timeouts=Timeouts(first_byte_seconds=QUICK_SECONDS)) as (_, pool):
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
    async with talk(script, tls=tls, timeouts=Timeouts(stall_seconds=0.6)) as (_, pool):
        await get(pool, sink)
        assert sink.data == CONTENT


async def test_a_slow_sink_is_no_stall(tls: bool) -> None:
    def make() -> Connection:
        limits = Timeouts(stall_seconds=30, first_byte_seconds=30)
        return Connection(Endpoint("localhost", 1), limits, bytearray(SCRATCH_BYTES), lambda _: None)

    async with serve(answer(ok(CONTENT)), tls=server_tls() if tls else None) as server:
        endpoint = Endpoint("localhost", server.port, client_tls() if tls else None)
        book = AddressBook(endpoint.host, endpoint.port)
        connection = await open_connection(endpoint, book, make, connect_seconds=10)
        sink = Held()
        request = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", reception=Reception(into=sink, max_body_bytes=1 << 30))
        exchange = connection.begin(request).future
        await until(sink.begun.is_set)
        now = asyncio.get_running_loop().time()
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


@pytest.mark.timeout(60)
async def test_a_cancelled_scope_that_waits_for_a_thread_does_not_turn_the_loop(tls: bool) -> None:
    async with talk(unheard, tls=tls) as (server, pool):
        sink = Held()
        scope = anyio.CancelScope()
        task = asyncio.create_task(get_in(scope, pool, sink))
        await until(sink.begun.is_set)
        scope.cancel()
        await server.peers[0].ended.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        assert task.cancelling() <= 2  # it counts the deliveries of anyio
        sink.go.set()
        await task
        assert scope.cancelled_caught
        sink.free_block()


async def get_in(scope: anyio.CancelScope, pool: Pool, sink: BlockSink) -> None:
    with scope:
        await get(pool, sink)


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


async def test_closing_the_pool_at_any_time_ends_its_requests(tls: bool, open_descriptors: None) -> None:
    for turns in range(40):
        async with talk(unheard, tls=tls) as (_, pool):
            sink = Collecting()
            task = asyncio.create_task(get(pool, sink))
            for _ in range(turns):
                await asyncio.sleep(0)
            await pool.aclose()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(result, PoolClosed) or sink.data == CONTENT
            assert sink.data == CONTENT[: sink.consumed]
            sink.free_block()


async def test_every_way_to_fail_is_one_of_the_wire(tls: bool) -> None:
    """No error type internal to the thread escapes."""
    async with talk(unheard, tls=tls) as (server, pool):
        sink = Held()
        task = asyncio.create_task(get(pool, sink))
        await until(sink.begun.is_set)
        await server.peers[0].reset()
        sink.go.set()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(result, WireError | Response)
        assert sink.data == CONTENT[: sink.consumed]
