"""Heads, chunks and bodies: any split gives the same response, and malformed input gives none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.stores.blocks import MIN_BLOCK_BYTES, BlockSink
from snapdir.stores.s3.http.parsing import HEAD_LIMIT_BYTES, MalformedHTTP
from snapdir.stores.s3.http.responses import SCRATCH_BYTES, Reception, Response, ResponseReceiver
from snapdir.testing.back_doors import Collecting

MAX_BODY_BYTES = 1 << 16

bodies = st.binary(max_size=300)


def receive(
    wire: bytes,
    cuts: list[int] | None = None,
    *,
    into: memoryview | None = None,
    method_is_head: bool = False,
    ends: bool = False,
) -> Response | None:
    """The response that a receiver reads from ``wire``, split at ``cuts``."""
    receiver = ResponseReceiver(
        bytearray(SCRATCH_BYTES), Reception(into=into, max_body_bytes=MAX_BODY_BYTES), method_is_head=method_is_head
    )
    start = 0
    for cut in [*sorted(cuts or []), len(wire)]:
        while start < cut:
            buffer = receiver.buffer()
            count = min(cut - start, len(buffer))
            buffer[:count] = wire[start : start + count]
            start += count
            response = receiver.feed(count)
            if response is not None:
                assert start == len(wire) or not response.keep_alive
                return response
    return receiver.end() if ends else None


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """``body`` in chunks, with extensions and trailers as they please."""
    wire, start = b"", 0
    while start < len(body):
        size = draw(st.integers(1, len(body) - start))
        number = draw(st.sampled_from([b"%x", b"%X", b"000%x"])) % size
        extension = draw(st.sampled_from([b"", b";name", b' ; name="a value"']))
        wire += number + extension + b"\r\n" + body[start : start + size] + b"\r\n"
        start += size
    trailers = draw(st.sampled_from([b"", b"x-amz-checksum-crc32c: AAAAAA==\r\n"]))
    return wire + b"0\r\n" + trailers + b"\r\n"


@given(body=bodies, data=st.data())
def test_every_way_to_cut_a_response_up_gives_the_same(body: bytes, data: st.DataObject) -> None:
    framing, payload = data.draw(
        st.sampled_from([b"Content-Length: %d\r\n" % len(body)]).map(lambda line: (line, body))
        | chunked(body).map(lambda wire: (b"Transfer-Encoding: Chunked\r\n", wire))
    )
    interim = data.draw(st.sampled_from([b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]))
    wire = interim + b'HTTP/1.1 200 OK\r\nETag:  "a" \r\n' + framing + b"\r\n" + payload
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))
    response = receive(wire, cuts)
    assert response is not None
    assert (response.status, response.body, response.received) == (200, body, len(body))
    assert response.header(b"etag") == response.headers[b"etag"] == b'"a"'
    assert response.keep_alive

    buffer = bytearray(b"." * (len(body) + 5))
    response = receive(wire, cuts, into=memoryview(buffer))
    assert response is not None
    assert (response.body, response.received) == (b"", len(body))
    assert buffer == body + b"....."


def receive_through(wire: bytes, sizes: Iterator[int], sink: BlockSink, **more: Any) -> tuple[Response | None, int]:
    """What a receiver makes of ``wire`` when it comes in pieces of these sizes; and how much of it it took."""
    receiver = ResponseReceiver(bytearray(SCRATCH_BYTES), Reception(into=sink, max_body_bytes=1 << 30, **more))
    start, response = 0, None
    while start < len(wire) and response is None:
        buffer = receiver.buffer()
        count = min(next(sizes), len(wire) - start, len(buffer))
        buffer[:count] = wire[start : start + count]
        start += count
        response = receiver.feed(count)
        filled, left = receiver.in_block
        if filled or left:
            response, start = drain(receiver, wire, start, sink)
    return response, start


def drain(receiver: ResponseReceiver, wire: bytes, start: int, sink: BlockSink) -> tuple[Response | None, int]:
    """Receive the rest of the body as the thread does that has taken over."""
    filled, left = receiver.in_block
    end = start + left
    while filled or start < end:
        count = min(end - start, len(sink.block) - filled)
        sink.block[filled : filled + count] = wire[start : start + count]
        start += count
        sink.put(filled + count)
        filled = 0
    return receiver.drained(), start


body_sizes = st.integers(0, 3 * MIN_BLOCK_BYTES) | st.integers(0, 3).flatmap(
    lambda blocks: st.integers(max(0, blocks * MIN_BLOCK_BYTES - 2), blocks * MIN_BLOCK_BYTES + 2)
)
block_sizes = st.integers(MIN_BLOCK_BYTES, 3 * MIN_BLOCK_BYTES) | st.just(MIN_BLOCK_BYTES)
PATTERN = random.Random(1).randbytes(4 * MIN_BLOCK_BYTES)


@given(
    size=body_sizes,
    block_bytes=block_sizes,
    sizes=st.lists(st.integers(1, 2 * MIN_BLOCK_BYTES), max_size=30),
    rest=st.sampled_from([1000, SCRATCH_BYTES, 1 << 30]),
    padding=st.integers(0, 40_000),
)
def test_a_sink_gets_the_body_and_nothing_else_whatever_the_cuts(
    size: int, block_bytes: int, sizes: list[int], rest: int, padding: int
) -> None:
    body = PATTERN[:size]
    head = b"HTTP/1.1 200 OK\r\nA: %b\r\nContent-Length: %d\r\n\r\n" % (b"a" * padding, size)
    sink = Collecting(block_bytes=block_bytes)
    response, taken = receive_through(head + body, chain(sizes, repeat(rest)), sink)
    assert response is not None
    assert (response.status, response.body, response.received) == (200, b"", size)
    assert response.keep_alive
    assert taken == len(head) + size
    assert sink.data == body
    sink.free_block()


@given(size=body_sizes, sizes=st.lists(st.integers(1, SCRATCH_BYTES), max_size=20), data=st.data())
def test_whoever_drains_a_body_takes_over_at_any_byte(size: int, sizes: list[int], data: st.DataObject) -> None:
    """As a thread that reads the rest directly from the socket."""
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + PATTERN[:size]
    head_bytes = len(wire) - size
    end = data.draw(st.integers(head_bytes, len(wire)))
    sink = Collecting()
    receiver = ResponseReceiver(bytearray(SCRATCH_BYTES), Reception(into=sink, max_body_bytes=1 << 30))
    start, cuts = 0, chain(sizes, repeat(SCRATCH_BYTES))
    while start < end and receiver.in_block == (0, 0):
        buffer = receiver.buffer()
        count = min(next(cuts), end - start, len(buffer))
        buffer[:count] = wire[start : start + count]
        start += count
        response = receiver.feed(count)
    if not size:
        assert response is not None
        return
    filled, left = receiver.in_block
    assert (filled, left) == (start - head_bytes, len(wire) - start)
    assert bytes(sink.block[:filled]) == PATTERN[:filled]
    response = receiver.drained()
    assert response is not None
    assert (response.received, receiver.received) == (size, len(wire))
    assert receiver.in_block == (0, 0)


@given(status=st.sampled_from([300, 307, 404, 503]), body=bodies, size=st.integers(1, 400))
def test_what_is_no_success_goes_into_its_own_body_not_to_the_sink(status: int, body: bytes, size: int) -> None:
    def refuse(response: Response) -> None:
        raise AssertionError(response.status)

    wire = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    sink = Collecting()
    response, _ = receive_through(wire, repeat(size), sink, check=refuse)
    assert response is not None
    assert response.body == body
    assert (sink.consumed, bytes(sink.block)) == (0, bytes(MIN_BLOCK_BYTES))


@pytest.mark.parametrize("piece_bytes", [1, 30, 1000])
def test_a_check_sees_the_head_before_the_body_goes_anywhere(piece_bytes: int) -> None:
    def refuse(response: Response) -> None:
        raise LookupError(response.header(b"content-range"))

    wire = b"HTTP/1.1 206 OK\r\nContent-Length: 4\r\nContent-Range: x\r\n\r\nbody"
    sink = Collecting()
    with pytest.raises(LookupError, match="x"):
        receive_through(wire, repeat(piece_bytes), sink, check=refuse)
    assert (sink.consumed, bytes(sink.block)) == (0, bytes(MIN_BLOCK_BYTES))


@pytest.mark.parametrize("lines", [b"", b"Transfer-Encoding: chunked\r\n"], ids=["until the end", "chunked"])
def test_a_body_of_no_known_length_does_not_go_to_a_sink(lines: bytes) -> None:
    sink = Collecting()
    with pytest.raises(MalformedHTTP, match="without the length of its body"):
        receive_through(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n4\r\nbody\r\n", repeat(9), sink)
    assert (sink.consumed, bytes(sink.block)) == (0, bytes(MIN_BLOCK_BYTES))


def test_a_block_that_is_too_small_is_refused() -> None:
    """What came along with a head has to fit into it."""
    with pytest.raises(ValueError, match="too small"):
        BlockSink(memoryview(bytearray(MIN_BLOCK_BYTES - 1)), lambda _: None)


@given(body=bodies, data=st.data())
def test_a_cut_off_response_is_none(body: bytes, data: st.DataObject) -> None:
    framing = data.draw(st.sampled_from([(b"Content-Length: 1%d\r\n" % len(body), body), (b"", b"")]))
    wire = b"HTTP/1.1 200 OK\r\n" + framing[0] + b"\r\n" + framing[1]
    end = data.draw(st.integers(1, len(wire) - 1))
    assert receive(wire[:end], ends=True) is None


def test_a_body_without_length_ends_with_the_connection() -> None:
    response = receive(b"HTTP/1.0 200 OK\r\n\r\nsome", [20, 21], ends=True)
    assert response is not None
    assert response.body == b"some"
    assert not response.keep_alive


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
def test_a_response_to_head_has_no_body(status: bytes) -> None:
    response = receive(b"HTTP/1.1 %b\r\nContent-Length: 7\r\n\r\n" % status, method_is_head=True)
    assert response is not None
    assert (response.content_length, response.received, response.keep_alive) == (7, 0, True)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    response = receive(b"HTTP/1.1 %d \r\nContent-Length: 7\r\n\r\n" % status, into=memoryview(bytearray(9)))
    assert response is not None
    assert (response.status, response.received, response.keep_alive) == (status, 0, True)


def test_an_error_goes_into_its_own_body_not_into_the_buffer() -> None:
    buffer = bytearray(5)
    response = receive(b"HTTP/1.1 404 no\r\nContent-Length: 9\r\n\r\n<Missing>", [40], into=memoryview(buffer))
    assert response is not None
    assert response.body == b"<Missing>"
    assert buffer == bytes(5)


@pytest.mark.parametrize(
    ("lines", "stays_open"),
    [(b"", True), (b"Connection: keep-alive\r\n", True), (b"Connection: Foo, CLOSE\r\n", False)],
)
def test_the_server_says_whether_the_connection_stays_open(lines: bytes, stays_open: bool) -> None:
    response = receive(b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n" % lines)
    assert response is not None
    assert response.keep_alive is stays_open


def test_bytes_behind_a_response_end_its_connection() -> None:
    response = receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, more")
    assert response is not None
    assert (response.body, response.keep_alive) == (b"ok", False)


def test_headers_are_found_by_lower_case_name() -> None:
    response = Response(b"HTTP/1.1 200\r\nX-A: 1\r\nETAG:\t\xe9 2\t\r\nx-a:3\r\nEmpty:")
    assert response.headers == {b"x-a": b"1, 3", b"etag": b"\xe9 2", b"empty": b""}
    assert [response.header(name) for name in (b"x-a", b"etag", b"empty", b"a")] == [b"1", b"\xe9 2", b"", None]


HEAD = b"HTTP/1.1 200 OK\r\n"
MALFORMED = {
    "no status line": b"Content-Length: 0\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "a version of two digits": b"HTTP/1.10 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "a status above 599": b"HTTP/1.1 600 OK\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a line break too early": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "a bare CR": HEAD + b"A: b\rc\r\n\r\n",
    "a bare LF": HEAD + b"A: b\nContent-Length: 0\r\n\r\n",
    "a NUL": HEAD + b"A: \0\r\n\r\n",
    "a folded line": HEAD + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 0\r\n\r\n",
    "a line without a colon": HEAD + b"Content-Length 0\r\n\r\n",
    "a header without a name": HEAD + b": 0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "two lengths in one": HEAD + b"Content-Length: 1, 1\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": HEAD + b"Content-Length: +1\r\n\r\n",
    "a length in hex": HEAD + b"Content-Length: 0x1\r\n\r\n",
    "an empty length": HEAD + b"Content-Length:\r\n\r\n",
    "an absurd length": HEAD + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n",
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "another transfer encoding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "two transfer encodings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "endless interim responses": b"HTTP/1.1 102 Processing\r\n\r\n" * 40,
    "an endless head": HEAD + b"A: b\r\n" * HEAD_LIMIT_BYTES,
    "an endless line": b"HTTP/1.1 200 " + b"O" * 2 * HEAD_LIMIT_BYTES,
    "too long a body": HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
    "too long a body until the end": HEAD + b"\r\n" + bytes(MAX_BODY_BYTES + 1),
}
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED |= {
    "a chunk without a size": CHUNKED + b"\r\n",
    "a chunk size that is no number": CHUNKED + b"x\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\n",
    "a chunk size with 0x": CHUNKED + b"0x1\r\na\r\n",
    "a chunk size behind a space": CHUNKED + b" 1\r\na\r\n",
    "a chunk size before a space": CHUNKED + b"1 \r\na\r\n",
    "a chunk size of 17 digits": CHUNKED + b"00000000000000001\r\na\r\n",
    "a chunk size line without CR": CHUNKED + b"1\na\r\n",
    "a bare CR in an extension": CHUNKED + b"1;a\rb\r\na\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\nab\r\n",
    "a chunk without its end": CHUNKED + b"1\r\na0\r\n\r\n",
    "an endless extension": CHUNKED + b"1;" + b"a" * 2 * HEAD_LIMIT_BYTES,
    "endless trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * HEAD_LIMIT_BYTES,
    "a malformed trailer": CHUNKED + b"0\r\nA : b\r\n\r\n",
    "too many chunks": CHUNKED + (b"1000\r\n" + bytes(0x1000) + b"\r\n") * 17,
    "a chunk larger than allowed": CHUNKED + b"ffffffff\r\n" + bytes(MAX_BODY_BYTES + 1),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("piece_bytes", [1, 1000, 1 << 20])
def test_malformed_is_refused(name: str, piece_bytes: int) -> None:
    wire = MALFORMED[name]
    if piece_bytes == 1 and len(wire) > 10_000:
        piece_bytes = 7_000
    with pytest.raises(MalformedHTTP):
        receive(wire, list(range(0, len(wire), piece_bytes)))


def test_a_body_longer_than_the_buffer_is_refused_before_a_byte_of_it_is_used() -> None:
    buffer = bytearray(4)
    with pytest.raises(MalformedHTTP, match="a 200 with a body of at least 5 bytes, where 4 were allowed"):
        receive(HEAD + b"Content-Length: 5\r\n\r\nabcde", into=memoryview(buffer))
    assert buffer == bytes(4)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_malformed(data: bytes) -> None:
    for prefix in (b"", HEAD, CHUNKED):
        with suppress(MalformedHTTP):
            receive(prefix + data, ends=True)
