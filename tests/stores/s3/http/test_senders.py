"""Request bodies: from memory and from files, hot and cold, plain and over TLS, and servers that refuse them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from snapdir.disk.system import send_file
from snapdir.hashing.crc32c import crc32c
from snapdir.stores.base import FileRange
from snapdir.stores.s3.http import senders
from snapdir.stores.s3.http.errors import (
    BodyChanged,
    BodyTruncated,
    BodyUnreadable,
    ConnectionLost,
    ProtocolViolation,
    WireError,
)
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.timeouts import Timeouts
from tests.stores.s3.scripted_server import Peer, Script, ScriptedServer, answer, client_tls, ok, serve, server_tls

MIB = 1 << 20
MORE_THAN_BUFFERS_HOLD = 64 * MIB
REFUSED = ok(b"<Code>SlowDown</Code>", status=b"503 Slow Down")


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@asynccontextmanager
async def talk(
    *scripts: Script, tls: bool = False, timeouts: Timeouts | None = None
) -> AsyncIterator[tuple[ScriptedServer, Pool]]:
    """A server, and a pool of one connection to it."""
    async with serve(*scripts, tls=server_tls() if tls else None) as server:
        context = client_tls() if tls else None
        async with Pool(
            "127.0.0.1", server.port, ssl_context=context, max_connections=1, timeouts=timeouts or Timeouts()
        ) as pool:
            yield server, pool


@pytest.fixture(params=["disk", "memory"])
def content_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """A file of 10 MiB and a bit: written to a disk and dropped from the page cache, or on a tmpfs."""
    content = os.urandom(10 * MIB + 12_345)
    with tempfile.TemporaryFile(dir=tmp_path if request.param == "disk" else "/dev/shm") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield file.fileno(), content


async def expect(peer: Peer, body: bytes) -> None:
    head, got = await peer.request()
    assert head.startswith(b"PUT /key HTTP/1.1\r\n")
    assert got == body, f"{len(got)} bytes, {len(body)} expected"
    await peer.send(ok())


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 9 * MIB])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_body_from_memory_arrives(tls: bool, size: int, kind: type) -> None:
    content = os.urandom(size)

    async def script(peer: Peer) -> None:
        await expect(peer, content)
        await expect(peer, content)

    async with talk(script, tls=tls) as (server, pool):
        for _ in range(2):
            assert (await pool.request(b"PUT", b"/key", body=kind(content))).status == 200
        await server.played()


async def test_a_buffer_is_free_once_its_request_is_done(tls: bool) -> None:
    buffer = bytearray(9 * MIB)
    async with talk(answer(ok()), tls=tls) as (_, pool):
        await pool.request(b"PUT", b"/key", body=buffer)
        buffer.clear()


@pytest.mark.parametrize("in_memory", [False, True], ids=["", "in memory"])
@pytest.mark.parametrize(("offset", "length"), [(0, 0), (5, 100), (4096, 65_537), (7, 10 * MIB)])
async def test_a_range_of_a_file_arrives(
    tls: bool, content_file: tuple[int, bytes], offset: int, length: int, in_memory: bool, open_descriptors: None
) -> None:
    fd, content = content_file
    position = os.lseek(fd, 3, os.SEEK_SET)
    body = FileRange(fd, offset, length, in_memory=in_memory)

    async def script(peer: Peer) -> None:
        await expect(peer, content[offset : offset + length])
        await expect(peer, content[offset : offset + length])

    async with talk(script, tls=tls) as (server, pool):
        for _ in range(2):
            assert (await pool.request(b"PUT", b"/key", body=body)).status == 200
        await server.played()
    assert os.lseek(fd, 0, os.SEEK_CUR) == position


@pytest.mark.parametrize("in_memory", [False, True])
async def test_only_a_file_that_may_have_to_be_read_goes_through_a_thread(
    content_file: tuple[int, bytes], in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd, _ = content_file
    threads = set()

    def send(*range_: int) -> int:
        threads.add(threading.current_thread())
        return send_file(*range_)

    monkeypatch.setattr(senders, "send_file", send)
    monkeypatch.setattr(senders, "_in_page_cache", lambda *_: False)
    async with talk(answer(ok()), tls=False) as (_, pool):
        await pool.request(b"PUT", b"/key", body=FileRange(fd, 0, MIB, in_memory=in_memory))
    assert (threads == {threading.current_thread()}) is in_memory


async def test_a_thread_sends_a_file_whose_last_byte_is_on_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = MIB + senders.PROBE_BYTES // 2
    content = os.urandom(last + 1)
    threads: list[threading.Thread] = []

    def send(*range_: int) -> int:
        threads.append(threading.current_thread())
        return send_file(*range_)

    monkeypatch.setattr(senders, "send_file", send)
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), last, 0, os.POSIX_FADV_DONTNEED)
        async with talk(answer(ok())) as (_, pool):
            await pool.request(b"PUT", b"/key", body=FileRange(file.fileno(), 0, len(content)))
    assert threads[0] != threading.current_thread()


async def test_many_files_at_once(tls: bool, content_file: tuple[int, bytes]) -> None:
    fd, content = content_file
    ranges = [FileRange(fd, number * MIB, MIB + number) for number in range(9)]

    def taking(range_: FileRange) -> Script:
        async def take(peer: Peer) -> None:
            head, got = await peer.request()
            number = int(head.split(b" ")[1][1:])
            assert got == content[ranges[number].offset :][: ranges[number].length]
            await peer.send(ok())

        return take

    async with (
        serve(*map(taking, ranges), tls=server_tls() if tls else None) as server,
        Pool("127.0.0.1", server.port, ssl_context=client_tls() if tls else None) as pool,
    ):
        await asyncio.gather(*[pool.request(b"PUT", b"/%d" % n, body=r) for n, r in enumerate(ranges)])
        await server.played()


@pytest.mark.parametrize("length", [1000, 5 * MIB, 20 * MIB])
async def test_a_file_that_is_too_short_is_an_error_and_closes(
    tls: bool, content_file: tuple[int, bytes], length: int
) -> None:
    fd, content = content_file
    os.ftruncate(fd, length - 100 if length < len(content) else len(content))
    held = min(length - 100, len(content))
    async with talk(until_closed, answer(ok()), tls=tls) as (server, pool):
        with pytest.raises(BodyTruncated, match=f"shorter than {length} bytes") as caught:
            await pool.request(b"PUT", b"/key", body=FileRange(fd, 0, length))
        assert (caught.value.bytes_sent, caught.value.detail) == (held, length)
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).status == 200


async def until_closed(peer: Peer) -> None:
    await peer.until_closed()


@pytest.mark.parametrize("in_memory", [False, True], ids=["", "in memory"])
@pytest.mark.parametrize("length", [0, 100, 64 << 10, 10 * MIB])
async def test_a_range_that_is_compared_arrives_where_it_is_what_was_hashed(
    tls: bool, content_file: tuple[int, bytes], length: int, in_memory: bool
) -> None:
    fd, content = content_file
    sent = content[7 : 7 + length]
    body = FileRange(fd, 7, length, crc32c(sent), in_memory=in_memory, compare=True)

    async def script(peer: Peer) -> None:
        await expect(peer, sent)
        await expect(peer, sent)

    async with talk(script, tls=tls) as (server, pool):
        for _ in range(2):
            assert (await pool.request(b"PUT", b"/key", body=body)).status == 200
        await server.played()


@pytest.mark.parametrize("length", [100, 64 << 10, 10 * MIB])
async def test_a_range_that_is_not_what_was_hashed_is_never_complete(
    tls: bool, content_file: tuple[int, bytes], length: int
) -> None:
    fd, content = content_file
    received = []

    async def script(peer: Peer) -> None:
        received.append(await peer.until_closed())

    body = FileRange(fd, 0, length, crc32c(content[:length]) ^ 1, compare=True)
    async with talk(script, answer(ok()), tls=tls) as (server, pool):
        with pytest.raises(BodyChanged):
            await pool.request(b"PUT", b"/key", body=body)
        await server.peers[0].ended.wait()
        assert (await pool.request(b"GET", b"/")).status == 200
    assert len(received[0].partition(b"\r\n\r\n")[2]) < length


@pytest.mark.parametrize("length", [1000, 5 * MIB])
async def test_a_file_that_cannot_be_read_is_an_error_and_closes(tls: bool, tmp_path: Path, length: int) -> None:
    fd = os.open(tmp_path / "written", os.O_WRONLY | os.O_CREAT)
    try:
        async with talk(until_closed, answer(ok()), tls=tls) as (_, pool):
            with pytest.raises(
                BodyUnreadable, match=r"the file to send cannot be read: .*Bad file descriptor"
            ) as caught:
                await pool.request(b"PUT", b"/key", body=FileRange(fd, 0, length))
            assert isinstance(caught.value.__cause__, OSError)
            assert (await pool.request(b"GET", b"/")).status == 200
    finally:
        os.close(fd)


@pytest.mark.parametrize("source", ["memory", "file"])
async def test_an_early_refusal_is_returned_and_the_connection_closed(
    tls: bool, source: str, content_file: tuple[int, bytes]
) -> None:
    fd, _ = content_file
    os.ftruncate(fd, MORE_THAN_BUFFERS_HOLD)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.read(100_000)
        await peer.send(REFUSED)
        await returned.wait()
        await peer.until_closed()

    returned = asyncio.Event()
    async with talk(script, answer(ok()), tls=tls) as (_, pool):
        body = bytes(MORE_THAN_BUFFERS_HOLD) if source == "memory" else FileRange(fd, 0, MORE_THAN_BUFFERS_HOLD)
        response = await pool.request(b"PUT", b"/key", body=body)
        assert (response.status, response.body) == (503, b"<Code>SlowDown</Code>")
        returned.set()
        assert (await pool.request(b"GET", b"/")).status == 200


async def test_a_refusal_followed_by_a_reset_is_still_read() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(REFUSED)
        await peer.close()  # with bytes unread, which is a reset

    async with talk(script) as (_, pool):
        with suppress(ConnectionLost):  # where the reset overtakes it
            response = await pool.request(b"PUT", b"/key", body=bytes(MORE_THAN_BUFFERS_HOLD))
            assert response.status == 503


@pytest.mark.parametrize("source", ["memory", "file"])
async def test_a_success_before_the_whole_body_was_sent_is_none(
    tls: bool, source: str, content_file: tuple[int, bytes]
) -> None:
    fd, _ = content_file
    os.ftruncate(fd, MORE_THAN_BUFFERS_HOLD)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())
        await peer.until_closed()

    async with talk(script, tls=tls) as (_, pool):
        body = bytes(MORE_THAN_BUFFERS_HOLD) if source == "memory" else FileRange(fd, 0, MORE_THAN_BUFFERS_HOLD)
        with pytest.raises(ProtocolViolation, match="200 before the whole body was sent"):
            await pool.request(b"PUT", b"/key", body=body)


async def test_a_peer_that_goes_away_while_the_body_is_sent(tls: bool, content_file: tuple[int, bytes]) -> None:
    fd, _ = content_file

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.reset()

    async with talk(script, tls=tls) as (_, pool):
        with pytest.raises(ConnectionLost) as caught:
            await pool.request(b"PUT", b"/key", body=FileRange(fd, 0, 10 * MIB))
        assert not caught.value.response_started


async def test_cancelling_leaves_no_descriptor_and_no_thread_at_the_file(
    tls: bool, content_file: tuple[int, bytes], open_descriptors: None
) -> None:
    fd, content = content_file

    async def script(peer: Peer) -> None:
        await peer.head()
        begun.set()
        got = await peer.until_closed()
        assert content.startswith(got)

    begun = asyncio.Event()
    async with talk(script, tls=tls) as (server, pool):
        task = asyncio.create_task(pool.request(b"PUT", b"/key", body=FileRange(fd, 0, 10 * MIB)))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.played()
        await asyncio.get_running_loop().shutdown_default_executor()


async def test_errors_count_the_bytes_that_left(tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.close()

    for size in (10, 9 * MIB):
        async with talk(script, tls=tls) as (_, pool):
            with pytest.raises(WireError) as caught:
                await pool.request(b"PUT", b"/key", body=bytes(size))
            assert caught.value.bytes_sent == size
