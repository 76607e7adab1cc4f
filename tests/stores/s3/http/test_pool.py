"""Connections of a pool: reuse, limit, queue, repetition, expiry; other loops, other processes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest

from snapdir.stores.s3.http.errors import ConnectionLost, PoolClosed
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import Reception
from snapdir.stores.s3.http.timeouts import Timeouts
from tests.stores.s3.scripted_server import Peer, Script, answer, ok, serve, until


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


def echo(requests: int | None = None) -> Script:
    """Answers each request with its own target and body."""

    async def play(peer: Peer) -> None:
        count = 0
        while requests is None or count < requests:
            try:
                head, body = await peer.request()
            except asyncio.IncompleteReadError:
                break
            count += 1
            await peer.send(ok(head.split(b" ")[1] + b" " + body))
        peer.ended.set()

    return play


async def test_many_requests_share_few_connections_and_get_their_own_answers() -> None:
    async with serve(*[echo()] * 8) as server, Pool("127.0.0.1", server.port, max_connections=8) as pool:

        async def ask(number: int) -> None:
            body = b"%d" % number * (number % 50)
            response = await pool.request(b"PUT", b"/%d" % number, body=body)
            assert response.body == b"/%d %b" % (number, body)

        await asyncio.gather(*[ask(number) for number in range(500)])
        assert pool.opened == len(server.peers) == 8


async def test_those_who_wait_are_served_in_the_order_of_their_coming() -> None:
    served: list[bytes] = []

    async def ask(pool: Pool, number: int) -> None:
        served.append((await pool.request(b"GET", b"/%d" % number)).body)

    async with serve(echo()) as server, Pool("127.0.0.1", server.port, max_connections=1) as pool:
        await asyncio.gather(*[ask(pool, number) for number in range(20)])
    assert served == [b"/%d " % number for number in range(20)]


async def test_the_connection_used_last_is_used_next() -> None:
    async with serve(echo(), echo()) as server, Pool("127.0.0.1", server.port) as pool:
        await asyncio.gather(pool.request(b"GET", b"/a"), pool.request(b"GET", b"/b"))
        for _ in range(5):
            await pool.request(b"GET", b"/")
        assert pool.opened == 2


def held_back(until_set: asyncio.Event) -> Script:
    """Answers each request, once the event is set."""

    async def play(peer: Peer) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                await peer.request()
                await until_set.wait()
                await peer.send(ok())

    return play


async def test_one_who_gives_up_waiting_leaves_the_line_to_others() -> None:
    answers = asyncio.Event()
    async with serve(held_back(answers)) as server, Pool("127.0.0.1", server.port, max_connections=1) as pool:
        tasks = [asyncio.create_task(pool.request(b"GET", b"/%d" % number)) for number in range(4)]
        await server.arrived(1)
        tasks[1].cancel()
        answers.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert all(not isinstance(results[number], BaseException) for number in (0, 2, 3))
        assert pool.opened == 1


async def test_a_connection_granted_to_one_who_is_cancelled_goes_to_the_next() -> None:
    async with serve(echo()) as server, Pool("127.0.0.1", server.port, max_connections=1) as pool:

        async def first() -> None:
            await pool.request(b"GET", b"/")
            second.cancel()  # it has been granted the connection, and has not run since

        tasks = [asyncio.create_task(first())]
        second = asyncio.create_task(pool.request(b"GET", b"/"))
        tasks += [second, asyncio.create_task(pool.request(b"GET", b"/third"))]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert results[2].body == b"/third "
        assert (await pool.request(b"GET", b"/")).status == 200


async def test_one_cancelled_while_connecting_leaves_its_place_to_others() -> None:
    async with serve(echo(), echo()) as server, Pool("127.0.0.1", server.port, max_connections=1) as pool:
        tasks = [asyncio.create_task(pool.request(b"GET", b"/%d" % number)) for number in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert [result.body for result in results[1:]] == [b"/1 ", b"/2 "]
        assert pool.opened == 1


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_a_request_on_a_stale_connection_is_repeated_once_on_another(end) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.request()
        await end(peer)

    async with serve(script, echo()) as server, Pool("127.0.0.1", server.port, max_connections=1) as pool:
        await pool.request(b"GET", b"/")
        assert (await pool.request(b"PUT", b"/again", body=b"body")).body == b"/again body"
        assert (pool.opened, pool.repeated) == (2, 1)


async def test_a_connection_closed_while_idle_is_not_even_tried() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.close()
        await peer.until_closed()

    async with serve(script, echo()) as server, Pool("127.0.0.1", server.port) as pool:
        await pool.request(b"GET", b"/")
        await server.peers[0].ended.wait()
        await until(lambda: not pool._idle)
        assert (await pool.request(b"POST", b"/post")).body == b"/post "
        assert pool.repeated == 0


async def test_a_request_is_not_repeated_twice_nor_on_a_new_connection_nor_once_answered_nor_a_post() -> None:
    async def dies(peer: Peer) -> None:
        await peer.request()
        await peer.close()

    async def dies_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await dies(peer)

    async def dies_within(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await peer.request()
        await peer.send(b"H")
        await peer.close()

    scripts = (dies, dies_second, dies, dies_within, dies_second)
    async with serve(*scripts) as server, Pool("127.0.0.1", server.port) as pool:
        with pytest.raises(ConnectionLost):
            await pool.request(b"GET", b"/new")
        await pool.request(b"GET", b"/")
        with pytest.raises(ConnectionLost):
            await pool.request(b"GET", b"/twice")
        await pool.request(b"GET", b"/")
        with pytest.raises(ConnectionLost):
            await pool.request(b"GET", b"/answered")
        await pool.request(b"GET", b"/")
        with pytest.raises(ConnectionLost):
            await pool.request(b"POST", b"/post")
        assert (pool.opened, pool.repeated) == (5, 1)


async def test_an_idle_connection_expires() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        assert await peer.until_closed() == b""

    limits = Timeouts(idle_seconds=0.04)
    async with serve(script, echo()) as server, Pool("127.0.0.1", server.port, timeouts=limits) as pool:
        await pool.request(b"GET", b"/")
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/next")).body == b"/next "
        assert (pool.opened, pool.repeated) == (2, 0)


async def test_closing_fails_what_is_under_way_and_what_waits(open_descriptors: None) -> None:
    never = asyncio.Event()
    async with serve(*[held_back(never)] * 2) as server:
        pool = Pool("127.0.0.1", server.port, max_connections=2)
        tasks = [asyncio.create_task(pool.request(b"GET", b"/")) for _ in range(4)]
        await server.arrived(2)
        await asyncio.gather(pool.aclose(), pool.aclose())
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, PoolClosed) for result in results)
        with pytest.raises(PoolClosed, match=f"127.0.0.1:{server.port}: the connection pool is closed"):
            await pool.request(b"GET", b"/")
        await pool.aclose()


async def test_closing_while_connecting_leaves_nothing_open(open_descriptors: None) -> None:
    async with serve(answer()) as server:
        pool = Pool("127.0.0.1", server.port)
        task = asyncio.create_task(pool.request(b"GET", b"/"))
        await asyncio.sleep(0)
        await pool.aclose()
        with pytest.raises(PoolClosed):
            await task
        await server.arrived(1)


async def test_a_request_that_would_not_be_one_is_refused() -> None:
    pool = Pool("127.0.0.1", 1)
    for target in (b"", b"no-slash", b"/a b", b"/a\r\nX: y", b"/a\n", b"/\0"):
        with pytest.raises(ValueError, match="not a request target"):
            await pool.request(b"GET", target)
    for headers in (b"a: b", b"a: b\r\n\r\nGET / HTTP/1.1\r\n", b"a: b\n"):
        with pytest.raises(ValueError, match="not lines of headers"):
            await pool.request(b"GET", b"/", headers)
    for into in (memoryview(b"read-only"), memoryview(bytearray(8)).cast("I")):
        with pytest.raises(ValueError, match="flat writable buffer"):
            await pool.request(b"GET", b"/", reception=Reception(into=into))


@pytest.mark.parametrize(
    ("host", "port", "header"),
    [
        ("h", 80, b"h"),
        ("h", 81, b"h:81"),
        ("::1", 80, b"[::1]"),
        ("::1", 81, b"[::1]:81"),
        ("bücher.example", 80, None),
    ],
)
def test_the_host_header(host: str, port: int, header: bytes | None) -> None:
    assert Pool(host, port).host_header == (header or b"xn--bcher-kva.example")


# Loops and processes


@pytest.fixture
def port() -> Iterator[int]:
    """A server in a thread and a loop of its own, for tests that run their own loops."""
    ready: list[int] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serving() -> AsyncIterator[None]:
        async with serve(*[echo()] * 4) as server:
            ready.append(server.port)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serving(),))
    thread.start()
    started.wait()
    yield ready[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def ask(pool: Pool) -> Callable[[], object]:
    async def asking() -> bytes:
        return (await pool.request(b"GET", b"/")).body

    return asking


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 and later
def test_a_forked_child_makes_its_own_connections_and_leaves_the_parents_alone(port: int) -> None:
    loop = asyncio.new_event_loop()
    pool = Pool("127.0.0.1", port)
    assert loop.run_until_complete(ask(pool)()) == b"/ "
    child = os.fork()
    if child == 0:
        code = 1
        try:
            answered = asyncio.new_event_loop().run_until_complete(ask(pool)())
            code = 0 if (answered, pool.opened) == (b"/ ", 2) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert loop.run_until_complete(ask(pool)()) == b"/ "
    assert (pool.opened, pool.repeated) == (1, 0)
    loop.run_until_complete(pool.aclose())
    loop.close()


def test_a_pool_follows_to_a_new_loop_once_its_own_is_closed(port: int) -> None:
    pool = Pool("127.0.0.1", port)

    async def used_and_closed() -> bytes:
        try:
            return (await pool.request(b"GET", b"/", b"connection: close\r\n")).body
        finally:
            for connection in tuple(pool._connections):
                connection.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    assert asyncio.run(used_and_closed()) == b"/ "
    assert asyncio.run(used_and_closed()) == b"/ "


def test_a_pool_in_use_on_another_loop_says_so(port: int) -> None:
    loop = asyncio.new_event_loop()
    pool = Pool("127.0.0.1", port)
    loop.run_until_complete(ask(pool)())
    with pytest.raises(RuntimeError, match="in use on another event loop"):
        asyncio.run(ask(pool)())
    loop.run_until_complete(pool.aclose())
    loop.close()
