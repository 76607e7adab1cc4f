"""Transfers slower than the minimum rate fail: heads, bodies and pages, down and up, on the loop and in threads."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from snapdir.errors import ConnectionFailed
from snapdir.stores.base import StillAtWork
from snapdir.stores.s3 import store as s3_store
from snapdir.stores.s3 import upload
from snapdir.stores.s3.http.connection import Request
from snapdir.stores.s3.http.errors import TooSlow
from snapdir.stores.s3.http.responses import Reception
from snapdir.stores.s3.http.threaded_body import BodyBroken, BodyReader, RemainingBody, TLSBodyReader
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.testing.back_doors import Collecting
from tests.stores.s3.canned_server import XML, Answer, ignore, reply
from tests.stores.s3.conftest import IMPATIENT, QUICK, CannedS3
from tests.stores.s3.http.test_body_readers import Speaking
from tests.stores.s3.http.test_connection import connect
from tests.stores.s3.scripted_server import Peer, serve, until

LIMITS = Timeouts(stall_seconds=20, min_bytes_per_second=1024)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
GET = Request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", reception=Reception(max_body_bytes=1000))


@pytest.mark.parametrize("whole", [b"", HEAD], ids=["head", "body"])
async def test_an_answer_that_drips_is_given_up(whole: bytes) -> None:
    """One byte per second, as the connection sees it: each check is one second later."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(whole)
        for byte in (HEAD + bytes(1000)).removeprefix(whole):
            await more.wait()
            more.clear()
            await peer.send(bytes([byte]))

    more = asyncio.Event()
    async with serve(script) as server:
        connection = await connect(server.port, LIMITS)
        answer = connection.begin(GET).future
        began = now = asyncio.get_running_loop().time()
        while not answer.done():
            before = connection.activity
            more.set()
            await until(lambda: connection.activity != before)  # noqa: B023
            connection.check(now := now + 1)
        with pytest.raises(TooSlow, match="--min-rate"):
            await answer
        assert 60 <= now - began <= 130
        more.set()


def clock_of(*seconds: float) -> Callable[[], float]:
    """A clock that advances by these steps in turn at each reading."""
    moment = itertools.accumulate(itertools.cycle(seconds))
    return lambda: next(moment)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def remaining(
    left: int, *, bytes_per_second: float = 1024, stall_seconds: float = 0.001
) -> tuple[Collecting, RemainingBody]:
    sink = Collecting()
    limits = Timeouts(stall_seconds=stall_seconds, min_bytes_per_second=bytes_per_second)
    return sink, RemainingBody(sink, 0, left, limits)


class Dripping:
    """The other end of a socket: one byte, or a TLS record with one, is always ready."""

    def __init__(self, theirs: socket.socket, drops: Iterator[bytes], seconds: float) -> None:
        self._theirs, self._drops, self._seconds = theirs, drops, seconds
        self._now = 0.0

    def clock(self) -> float:
        """Advances by some seconds, in which one byte arrives."""
        self._theirs.sendall(next(self._drops))
        self._now += self._seconds
        return self._now


def test_a_thread_gives_a_drip_up(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    _, body = remaining(10_000_000)
    dripping = Dripping(theirs, itertools.repeat(b"x"), 1.0)
    with pytest.raises(BodyBroken, match="TooSlow"):
        BodyReader(ours, body, clock=dripping.clock).run()
    assert 60 <= dripping.clock() <= 130


def test_a_thread_gives_a_drip_over_tls_up(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    speaking = Speaking()
    _, body = remaining(10_000_000, stall_seconds=30)
    dripping = Dripping(theirs, (speaking.record(b"x") for _ in itertools.count()), 1.0)
    with pytest.raises(BodyBroken, match="TooSlow"):
        TLSBodyReader(ours, body, speaking.client, clock=dripping.clock).run()
    assert 60 <= dripping.clock() <= 260


def test_what_the_sink_takes_is_not_the_servers_time(pair: tuple[socket.socket, socket.socket]) -> None:
    """Two checks around each receipt, 10 ms apart, and a minute in which the sink is busy."""
    ours, theirs = pair
    data = bytes(600_000)
    sink, body = remaining(len(data))
    theirs.setblocking(False)
    sent = theirs.send(data)
    theirs.close()
    body = body._replace(remaining_bytes=sent)
    BodyReader(ours, body, clock=clock_of(60.0, 0.01)).run()
    assert len(sink.data) == sent


def test_without_a_floor_a_thread_takes_any_drip(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sink, body = remaining(200, bytes_per_second=0)
    BodyReader(ours, body, clock=Dripping(theirs, itertools.repeat(b"x"), 10.0).clock).run()
    assert len(sink.data) == 200


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timeouts, "rate_seconds", 1e-9)


@pytest.mark.usefixtures("short_windows")
async def test_the_rate_of_the_settings_counts(against: CannedS3) -> None:
    begun = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 1000\r\n\r\n01234"
    demanding, lenient = replace(QUICK, min_rate_bytes=1 << 50), replace(IMPATIENT, min_rate_bytes=0)
    for settings, expected in ((demanding, True), (lenient, False)):
        async with against(ignore(first=begun), settings=settings) as (store, _):
            with pytest.raises(ConnectionFailed) as raised:
                await store.read_into("key", memoryview(bytearray(1000)), start=0)
        assert ("--min-rate" in str(raised.value)) == expected
        async with against(ignore(body_read=False), settings=settings) as (store, _):
            with pytest.raises(ConnectionFailed) as raised:
                await store.write("key", bytes(32 << 20))
        assert ("--min-rate" in str(raised.value)) == expected


TRICKLE = ignore(first=b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 1000\r\n\r\n  ")
TRICKLING = replace(IMPATIENT, min_rate_bytes=1 << 50)


@pytest.fixture
def short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any other limit of IMPATIENT, and not as long as minutes."""
    for module in (s3_store, upload):
        monkeypatch.setattr(module, "WORK_SECONDS", 1.0)


@pytest.mark.usefixtures("short_windows", "short_work")
async def test_a_service_may_trickle_while_it_copies(against: CannedS3) -> None:
    """It sends white space for minutes."""
    begun = reply(f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
    async with against(TRICKLE, begun, TRICKLE, settings=TRICKLING) as (store, server):
        with pytest.raises(ConnectionFailed) as copying:
            await store.copy_from("key", "bucket/other")
        upload = await store.begin_upload("key", size=10, part_bytes=10)
        with pytest.raises(ConnectionFailed) as copying_part:
            await upload.copy_part(1, "bucket/other", start=0, length=10)
        server.play(reply(status=204))
    assert "--min-rate" not in f"{copying.value} {copying_part.value}"


@pytest.mark.usefixtures("short_windows", "short_work")
@pytest.mark.parametrize("answer", [TRICKLE, ignore()], ids=["white space", "silence"])
async def test_work_that_takes_a_service_minutes_has_a_limit_of_its_own(against: CannedS3, answer: Answer) -> None:
    begun = reply(f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
    absent = reply(status=404)
    async with against(answer, begun, answer, begun, reply(), answer, absent, settings=TRICKLING) as (store, _):
        with pytest.raises(StillAtWork, match=r"within 1 s"):
            await store.copy_from("key", "bucket/other")
        upload = await store.begin_upload("key", size=4, part_bytes=5 << 20)
        with pytest.raises(StillAtWork, match=r"within 1 s"):
            await upload.copy_part(1, "bucket/other", start=0, length=4)
        upload.keep()
        upload = await store.begin_upload("key", size=4, part_bytes=5 << 20)
        await upload.write_part(1, b"data")
        with pytest.raises(StillAtWork, match=r"within 1 s"):
            await upload.commit()
