"""A response uses memory for the bytes received, whatever length its head announces."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from snapdir.stores.s3.http.responses import (
    COLLECTED_BYTES,
    ERROR_BODY_BYTES,
    SCRATCH_BYTES,
    Reception,
    ResponseReceiver,
)
from tests.stores.s3.http.test_responses import HEAD, receive

ERROR = b"HTTP/1.1 503 no\r\n"
ENDLESS = {
    "a length": ERROR + b"Content-Length: %d\r\n\r\n" % (1 << 50),
    "chunks": ERROR + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (1 << 50),
    "neither": ERROR + b"\r\n",
}


@pytest.mark.parametrize("framing", ENDLESS)
@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
def test_of_an_endless_error_the_beginning_is_read(framing: str, piece_bytes: int) -> None:
    wire = ENDLESS[framing] + b"<Error/>" + b"x" * 2 * ERROR_BODY_BYTES
    response = receive(wire, list(range(0, len(wire), piece_bytes)))
    assert response is not None
    assert (response.status, response.keep_alive) == (503, False)
    assert response.body == (b"<Error/>" + b"x" * ERROR_BODY_BYTES)[:ERROR_BODY_BYTES]


def test_a_body_takes_the_memory_of_what_has_come() -> None:
    receiver = ResponseReceiver(bytearray(SCRATCH_BYTES), Reception(max_body_bytes=1 << 62))
    tracemalloc.start()
    try:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40)
        receiver.buffer()[: len(head)] = head
        receiver.feed(len(head))
        come = 3 * COLLECTED_BYTES
        while come > 0:
            count = len(receiver.buffer())
            assert receiver.feed(count) is None
            come -= count
        assert tracemalloc.get_traced_memory()[1] < 8 * COLLECTED_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("extra", [-1, 0, 1, COLLECTED_BYTES])
@pytest.mark.parametrize("piece_bytes", [100_000, 1 << 20])
def test_a_long_body_is_put_together(extra: int, piece_bytes: int) -> None:
    body = random.Random(extra).randbytes(COLLECTED_BYTES + extra)
    wire = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    receiver = ResponseReceiver(bytearray(SCRATCH_BYTES), Reception(max_body_bytes=len(body)))
    start, response = 0, None
    while response is None:
        buffer = receiver.buffer()
        count = min(len(wire) - start, len(buffer), piece_bytes)
        buffer[:count] = wire[start : start + count]
        start += count
        response = receiver.feed(count)
    assert (response.body == body, response.received, response.keep_alive) == (True, len(body), True)
