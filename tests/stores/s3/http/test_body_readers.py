"""A thread that receives a body over TLS: progress is counted in bytes of the body."""

from __future__ import annotations

import itertools
import socket
import ssl
import time
from collections.abc import Callable

import pytest

from snapdir.stores.s3.http.threaded_body import BodyBroken, RemainingBody, TLSBodyReader
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.http.tls import TLSObject
from snapdir.testing.back_doors import Collecting
from tests.stores.s3.scripted_server import client_tls, server_tls

BODY = bytes(range(200)) * 50


class Speaking:
    """A client's TLS object after its handshake, and what its server wants to say."""

    def __init__(self) -> None:
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_tls().wrap_bio(to_client, to_server, server_hostname="localhost")
        self._server = server_tls().wrap_bio(to_server, to_client, server_side=True)
        for side in itertools.islice(itertools.cycle((client, self._server)), 4):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        self._to_client = to_client
        self.client: TLSObject = client

    def record(self, data: bytes) -> bytes:
        """``data``, encrypted, behind what the handshake left."""
        self._server.write(data)
        return self._to_client.read()


def drained(speaking: Speaking, wire: bytes, clock: Callable[[], float] = time.monotonic) -> bytes:
    """What a drain takes of BODY out of ``wire``, behind which the connection ends."""
    ours, theirs = socket.socketpair()
    sink = Collecting()
    with ours, theirs:
        theirs.sendall(wire)
        theirs.close()
        body = RemainingBody(sink, 0, len(BODY), Timeouts(stall_seconds=30, min_bytes_per_second=0))
        TLSBodyReader(ours, body, speaking.client, clock=clock).run()
    return bytes(sink.data)


def test_a_body_is_decrypted_whole() -> None:
    speaking = Speaking()
    assert drained(speaking, speaking.record(BODY)) == BODY


def test_bytes_that_bring_nothing_of_the_body_are_a_stall() -> None:
    speaking = Speaking()
    minutes = itertools.count(0.0, 60.0)
    with pytest.raises(BodyBroken, match="StallTimeout"):
        drained(speaking, speaking.record(BODY)[:-1], lambda: next(minutes))


def test_bytes_that_bring_nothing_are_waited_for_until_then() -> None:
    speaking = Speaking()
    with pytest.raises(BodyBroken, match="closed by the server"):
        drained(speaking, speaking.record(BODY)[:-1])


def test_a_record_that_was_changed_ends_the_body() -> None:
    speaking = Speaking()
    wire = bytearray(speaking.record(BODY))
    wire[-1] ^= 1
    with pytest.raises(BodyBroken, match="BAD_RECORD_MAC"):
        drained(speaking, wire)
