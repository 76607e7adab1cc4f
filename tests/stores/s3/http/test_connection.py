"""One connection to a scripted server, on both event loops."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from snapdir.stores.s3.http.connection import Connection, Request
from snapdir.stores.s3.http.endpoint import Endpoint
from snapdir.stores.s3.http.errors import ConnectionLost, FirstByteTimeout, ProtocolViolation, StallTimeout, WireError
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import SCRATCH_BYTES, Reception
from snapdir.stores.s3.http.timeouts import ASSUMED_BYTES_PER_SECOND, Timeouts
from tests.stores.s3.scripted_server import Peer, answer, ok, serve, until

SILENT = Timeouts(first_byte_seconds=0.06)
STALLED = Timeouts(stall_seconds=0.06)
MORE_THAN_BUFFERS_HOLD = 64 << 20


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def test_a_request_is_sent_as_given_and_the_connection_is_kept() -> None:
    async def script(peer: Peer) -> None:
        head = b"GET /b/a%%20b?x= HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nx-a: 1\r\n\r\n" % server.port
        assert await peer.head() == head
        await peer.send(ok(b"one"))
        head = b"PUT /b/c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 4\r\n\r\nbody" % server.port
        assert await peer.read(len(head)) == head
        await peer.send(ok(b"two"))
        head = b"POST /b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\n\r\n" % server.port
        assert await peer.read(len(head)) == head
        await peer.send(ok(b"three"))
        assert await peer.until_closed() == b""

    async with serve(script) as server, Pool("127.0.0.1", server.port) as pool:
        assert (await pool.request(b"GET", b"/b/a%20b?x=", b"x-a: 1\r\n")).body == b"one"
        assert (await pool.request(b"PUT", b"/b/c", body=b"body")).body == b"two"
        assert (await pool.request(b"POST", b"/b")).body == b"three"
        assert pool.opened == 1


@pytest.mark.parametrize("size", [0, 1, 5000, 1 << 20])
async def test_a_body_is_received_into_the_callers_buffer(size: int) -> None:
    content = os.urandom(size)
    async with serve(answer(ok(content), ok(content))) as server, Pool("127.0.0.1", server.port) as pool:
        buffer = bytearray(size + 3)
        response = await pool.request(b"GET", b"/", reception=Reception(into=memoryview(buffer)[1:]))
        assert (response.status, response.body, response.received) == (200, b"", size)
        assert buffer == b"\0" + content + b"\0\0"
        buffer.clear()  # nothing holds the buffer any more
        assert (await pool.request(b"GET", b"/", reception=Reception(max_body_bytes=size))).body == content


async def test_a_response_may_come_byte_by_byte() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"body", b"ETag: x"):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.until_closed()

    async with serve(script) as server, Pool("127.0.0.1", server.port) as pool:
        response = await pool.request(b"GET", b"/")
        assert (response.body, response.header(b"etag")) == (b"body", b"x")


async def test_responses_without_a_body_leave_the_connection_in_step() -> None:
    head = b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\n"
    responses = [head % b"200 OK", head % b"204 No Content", head % b"304 Not Modified", ok(b"body")]
    async with serve(answer(*responses)) as server, Pool("127.0.0.1", server.port) as pool:
        assert (await pool.request(b"HEAD", b"/")).content_length == 5
        assert [(await pool.request(b"GET", b"/")).status for _ in range(3)] == [204, 304, 200]


async def test_a_response_that_ends_with_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nto the end")
        await peer.close()

    async with serve(script, answer(ok())) as server, Pool("127.0.0.1", server.port) as pool:
        assert (await pool.request(b"GET", b"/")).body == b"to the end"
        assert (await pool.request(b"GET", b"/")).status == 200
        assert (pool.opened, pool.repeated) == (2, 0)


@pytest.mark.parametrize(
    "response",
    [ok(b"x", b"Connection: close"), b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", ok(b"x") + b"surplus"],
    ids=["close", "HTTP/1.0", "surplus"],
)
async def test_a_connection_that_cannot_go_on_is_closed(response: bytes) -> None:
    async with serve(answer(response), answer(ok(b"next"))) as server, Pool("127.0.0.1", server.port) as pool:
        assert (await pool.request(b"GET", b"/")).body == b"x"
        assert (await pool.request(b"GET", b"/")).body == b"next"


async def test_bytes_on_an_idle_connection_close_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(b"one"))
        await speak.wait()
        await peer.send(ok(b"unasked"))
        await peer.until_closed()

    speak = asyncio.Event()
    # Nothing but these bytes may end it: an idle one would be closed after a while too.
    limits = Timeouts(idle_seconds=3600)
    async with serve(script, answer(ok(b"two"))) as server, Pool("127.0.0.1", server.port, timeouts=limits) as pool:
        assert (await pool.request(b"GET", b"/")).body == b"one"
        speak.set()
        async with asyncio.timeout(10):
            await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).body == b"two"
        assert pool.repeated == 0


async def test_bytes_that_nobody_asked_for_are_never_an_answer() -> None:
    """These bytes arrive before the next request, which must not take them for its response."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(b"one"))
        await speak.wait()
        await peer.send(ok(b"unasked"))
        await peer.until_closed()

    speak = asyncio.Event()
    async with serve(script) as server:
        connection = await connect(server.port, Timeouts(idle_seconds=3600))
        request = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", reception=Reception(max_body_bytes=100))
        assert (await connection.begin(request).future).body == b"one"
        before = connection.activity
        speak.set()
        await until(lambda: connection.activity != before)
        reusable = connection.reusable
        connection.abort()
        assert not reusable


@pytest.mark.parametrize(
    "response",
    [
        b"220 smtp.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
    ],
    ids=["not HTTP", "two lengths", "no chunk", "too long"],
)
async def test_a_violation_fails_the_request_and_closes_the_connection(response: bytes) -> None:
    async with serve(answer(response), answer(ok(b"next"))) as server, Pool("127.0.0.1", server.port) as pool:
        with pytest.raises(ProtocolViolation, match=rf"127\.0\.0\.1:{server.port}: not a valid response") as caught:
            await pool.request(b"GET", b"/", reception=Reception(into=memoryview(bytearray(10))))
        assert caught.value.bytes_received == len(response)
        assert (await pool.request(b"GET", b"/")).body == b"next"


CUT = {
    "within the head": b"HTTP/1.1 200 OK\r\nContent-Len",
    "behind the head": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "within the body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbod",
    "within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbod",
    "before the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n",
    "before the trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
}


@pytest.mark.parametrize("where", CUT)
@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_a_response_cut_off_is_lost_never_short(where: str, end) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CUT[where])
        await end(peer)

    async with serve(script) as server, Pool("127.0.0.1", server.port) as pool:
        with pytest.raises(ConnectionLost) as caught:
            await pool.request(b"GET", b"/")
        if end is Peer.close:  # RST may overtake what was sent
            assert caught.value.response_started
            assert caught.value.bytes_received == len(CUT[where])


async def test_a_body_until_the_end_that_ends_in_a_reset_is_lost() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nmay be all, or no")
        await received.wait()
        await peer.reset()

    received = asyncio.Event()
    async with serve(script) as server, Pool("127.0.0.1", server.port) as pool:
        buffer = bytearray(50)
        task = asyncio.create_task(pool.request(b"GET", b"/", reception=Reception(into=memoryview(buffer))))
        await until(lambda: buffer.startswith(b"may"))
        received.set()
        with pytest.raises(ConnectionLost, match="within the response"):
            await task


async def test_no_answer_is_a_first_byte_timeout() -> None:
    async with serve(silent) as server, Pool("127.0.0.1", server.port, timeouts=SILENT) as pool:
        with pytest.raises(FirstByteTimeout, match=r"within 0.06\d* s \(--stall-timeout\) \(4 bytes sent, 0 "):
            await pool.request(b"PUT", b"/", body=b"body")


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.until_closed()


async def test_half_an_answer_is_a_stall() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbod")
        await peer.until_closed()

    async with serve(script) as server, Pool("127.0.0.1", server.port, timeouts=STALLED) as pool:
        with pytest.raises(StallTimeout, match=r"no data for 0\.06 s \(--stall-timeout\)"):
            await pool.request(b"GET", b"/")


async def test_a_server_that_does_not_take_the_body_is_a_stall() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await over.wait()

    over = asyncio.Event()
    async with serve(script) as server, Pool("127.0.0.1", server.port, timeouts=STALLED) as pool:
        with pytest.raises(StallTimeout) as caught:
            await pool.request(b"PUT", b"/", body=bytes(MORE_THAN_BUFFERS_HOLD))
        assert 0 < caught.value.bytes_sent < MORE_THAN_BUFFERS_HOLD
        over.set()


async def test_time_counts_from_the_last_byte_that_moved() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        for part in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n\r\n", b"bo", b"dy"):
            await peer.send(part)
            await more.wait()
            more.clear()
        await peer.until_closed()

    more = asyncio.Event()
    limits = Timeouts(first_byte_seconds=30, stall_seconds=20, idle_seconds=15)
    async with serve(script) as server:
        connection = await connect(server.port, limits)
        request = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", reception=Reception(max_body_bytes=100))
        answer = connection.begin(request).future
        now = asyncio.get_running_loop().time()
        connection.check(now)
        connection.check(now := now + 29.9)
        while not answer.done():
            before = connection.activity
            more.set()
            await until(lambda: connection.activity != before)  # noqa: B023
            connection.check(now := now + 19.9)
        assert (await answer).body == b"body"
        connection.check(now + 14.9)
        assert connection.reusable
        connection.check(now + 15)
        assert not connection.reusable
        more.set()


async def test_a_first_byte_has_its_own_limit() -> None:
    limits = Timeouts(first_byte_seconds=30, stall_seconds=20)
    async with serve(silent) as server:
        connection = await connect(server.port, limits)
        request = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", reception=Reception(max_body_bytes=100))
        answer = connection.begin(request).future
        now = asyncio.get_running_loop().time()
        connection.check(now)
        await until(lambda: not connection.unsent_bytes())
        connection.check(now)
        connection.check(now + 29.9)
        assert not answer.done()
        connection.check(now + 30)
        with pytest.raises(FirstByteTimeout):
            await answer


async def test_the_answer_to_a_long_body_may_take_what_a_slow_line_takes() -> None:
    """All of it has left, and something in between passes it on slowly."""
    limits = Timeouts(first_byte_seconds=30, stall_seconds=20)
    size = 16 * ASSUMED_BYTES_PER_SECOND
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    async with serve(silent) as server:
        connection = await connect(server.port, limits)
        answer = connection.begin(Request(head, bytes(size), size, reception=Reception(max_body_bytes=100))).future
        await until(lambda: not connection.unsent_bytes())
        now = asyncio.get_running_loop().time()
        for seconds in (0.0, 0.0, 30.0, 45.9):
            connection.check(now + seconds)
        assert not answer.done()
        connection.check(now + 46.1)
        with pytest.raises(FirstByteTimeout, match=r"within 46 s"):
            await answer


async def connect(port: int, limits: Timeouts) -> Connection:
    def make() -> Connection:
        return Connection(Endpoint("127.0.0.1", port), limits, bytearray(SCRATCH_BYTES), lambda connection: None)

    _, connection = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
    return connection


@pytest.mark.parametrize("method", [b"GET", b"PUT"])
async def test_cancelling_a_request_closes_its_connection(method: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun")
        await cancelled.wait()
        await peer.send(b"ended")
        await peer.until_closed()

    cancelled = asyncio.Event()
    async with serve(script, answer(ok())) as server, Pool("127.0.0.1", server.port, max_connections=1) as pool:
        buffer, body = bytearray(10), bytes(MORE_THAN_BUFFERS_HOLD) if method == b"PUT" else None
        task = asyncio.create_task(pool.request(method, b"/", body=body, reception=Reception(into=memoryview(buffer))))
        await until(lambda: buffer.startswith(b"begun"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).status == 200
        assert buffer == b"begun" + bytes(5)


async def test_an_expired_limit_is_an_error_of_the_options() -> None:
    for seconds in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="stall_seconds must be positive and finite"):
            Timeouts(stall_seconds=seconds)


def test_an_error_says_where_and_how_far() -> None:
    error = ConnectionLost(Endpoint("::1", 443), "reset", bytes_sent=3, bytes_received=4)
    assert str(error) == ("[::1]:443: the connection was lost within the response: reset (3 bytes sent, 4 received)")
    assert isinstance(error, WireError)


async def test_nothing_is_left_open(open_descriptors: None) -> None:
    async with serve(answer(ok())) as server, Pool("127.0.0.1", server.port) as pool:
        await pool.request(b"PUT", b"/", body=bytes(1 << 20))
        await pool.aclose()
        with socket.create_connection(("127.0.0.1", server.port)):
            pass
        await server.arrived(2)
        server.tasks.pop().cancel()
