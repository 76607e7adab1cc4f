"""Long bodies for a sink arrive whole, or are refused before the first byte."""

from __future__ import annotations

import asyncio
import os

import pytest

from snapdir.stores.s3.http.errors import (
    ProtocolViolation,
)
from snapdir.stores.s3.http.responses import Reception, Response
from snapdir.testing.back_doors import Collecting
from tests.stores.s3.block_server import BLOCK, CONTENT, EVERY_WAY, get, talk, unheard
from tests.stores.s3.scripted_server import (
    Peer,
    Script,
    answer,
    ok,
)

pytestmark = EVERY_WAY


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


async def test_a_body_behind_which_the_server_closes_comes_whole(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(CONTENT, b"Connection: close"))
        await peer.close()

    async with talk(script, answer(ok(b"next")), tls=tls) as (_, pool):
        sink = Collecting()
        await get(pool, sink)
        assert sink.data == CONTENT
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
            await pool.request(b"GET", b"/", reception=Reception(into=sink, max_body_bytes=1000))
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
