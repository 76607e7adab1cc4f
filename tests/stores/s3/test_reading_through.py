"""Objects read through a block: only the requested range passes."""

from __future__ import annotations

import os

import pytest

from snapdir.errors import ConnectionFailed, InvalidResponse, ObjectNotFound, StoreRefused, Throttled
from snapdir.stores.base import BodyCutShort
from snapdir.stores.blocks import MIN_BLOCK_BYTES
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
from snapdir.stores.settings import RetryPolicy
from snapdir.testing.back_doors import Collecting

from .playing_service import ok, playing, refused
from .scripted_server import ok as plain

BLOCK = MIN_BLOCK_BYTES
OBJECT = os.urandom(4 * BLOCK + 9)
START = 5
WANTED = OBJECT[START:-4]
AT_ONCE = RetryPolicy(base_seconds=0.0)


def ranged(start: int, end: int, *, sent: int | None = None, total: int = len(OBJECT)) -> bytes:
    """The object's bytes from ``start`` to ``end``, of which only ``sent`` come."""
    answer = ok(
        OBJECT[start:end], b"Content-Range: bytes %d-%d/%d" % (start, end - 1, total), status=b"206 Partial Content"
    )
    return answer if sent is None else answer[: len(answer) - (end - start) + sent]


def chunked(body: bytes, *headers: bytes, status: bytes = b"206 Partial Content") -> bytes:
    lines = b"".join(header + b"\r\n" for header in (b"ETag: x", *headers))
    head = b"HTTP/1.1 %b\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (status, lines)
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


END = START + len(WANTED)
WHOLE = ranged(START, END)


async def test_a_range_passes_and_is_asked_for_once() -> None:
    async with playing((WHOLE, WHOLE)) as service:
        for _ in range(2):
            sink = Collecting()
            await service.store.read_through("key", sink, start=START, length=len(WANTED))
            assert sink.data == WANTED
            sink.free_block()
        asked = [request.header(b"range") for request in service.requests]
        assert asked == [b"bytes=%d-%d" % (START, END - 1)] * 2


@pytest.mark.parametrize("status", [b"200 OK", b"206 Partial Content"])
async def test_a_whole_object_passes_where_it_was_asked_for(status: bytes) -> None:
    async with playing(ok(OBJECT, status=status)) as service:
        sink = Collecting()
        await service.store.read_through("key", sink, start=0, length=len(OBJECT))
        assert sink.data == OBJECT


async def test_an_object_that_ends_within_the_range_passes_what_there_is() -> None:
    behind = refused(b"416 No", "InvalidRange")
    async with playing((ranged(START, len(OBJECT)), behind)) as service:
        sink = Collecting()
        await service.store.read_through("key", sink, start=START, length=len(OBJECT))
        assert sink.data == OBJECT[START:]
        await service.store.read_through("key", sink, start=len(OBJECT), length=9)
        assert sink.data == OBJECT[START:]


@pytest.mark.parametrize(
    "answer",
    [
        ranged(0, len(WANTED)),
        ranged(START + 1, END),
        ranged(START, END + 1),
        ranged(START, END - 1),
        ok(WANTED, b"Content-Range: bytes */9"),
        ok(WANTED, b"Content-Range: bytes %d-%d/*" % (START, END)),
        ok(OBJECT),
        ok(WANTED, status=b"206 Partial Content"),
    ],
    ids=["elsewhere", "later", "longer", "ends early", "nowhere", "contradiction", "whole object", "no word"],
)
async def test_another_range_than_the_one_asked_for_is_refused_before_a_byte_passes(answer: bytes) -> None:
    async with playing(answer) as service:
        sink = Collecting()
        with pytest.raises(InvalidResponse):
            await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert (sink.consumed, bytes(sink.block)) == (0, bytes(BLOCK))


async def test_the_success_of_another_server_is_refused_before_a_byte_passes() -> None:
    async with playing(plain(b"<html>welcome to the hotel wifi</html>")) as service:
        sink = Collecting()
        with pytest.raises(InvalidResponse, match="check the endpoint and any proxy"):
            await service.store.read_through("key", sink, start=0, length=len(OBJECT))
        assert (sink.consumed, bytes(sink.block)) == (0, bytes(BLOCK))


async def test_a_body_that_does_not_say_its_length_comes_another_way() -> None:
    """Each block is asked for by itself: what such a body holds shows only at its end."""
    answers = [
        chunked(OBJECT[at : at + BLOCK], status=b"200 OK" if at == 0 else b"206 Partial Content")
        for at in range(0, len(OBJECT), BLOCK)
    ]
    ranges = [
        chunked(OBJECT[at : at + BLOCK], b"Content-Range: bytes %d-%d/*" % (at, min(at + BLOCK, len(OBJECT)) - 1))
        for at in range(0, len(OBJECT), BLOCK)
    ]
    async with playing(chunked(OBJECT, status=b"200 OK"), (answers[0], *ranges[1:])) as service:
        sink = Collecting()
        await service.store.read_through("key", sink, start=0, length=len(OBJECT))
        assert sink.data == OBJECT
        assert service.requests[1].header(b"range") == b"bytes=0-%d" % (BLOCK - 1)
        sink.free_block()


async def test_a_body_that_says_its_range_and_not_its_length_comes_that_way_too() -> None:
    says = b"Content-Range: bytes %d-%d/*" % (START, END - 1)
    async with playing(chunked(WANTED, says), chunked(WANTED, says)) as service:
        sink = Collecting(block_bytes=len(OBJECT))
        await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert sink.data == WANTED


@pytest.mark.parametrize("sent", [0, BLOCK - 1])
async def test_a_body_of_which_nothing_was_consumed_is_a_failed_connection(sent: int) -> None:
    async with playing(ranged(START, END, sent=sent)) as service:
        sink = Collecting()
        with pytest.raises(ConnectionFailed, match=r"GET s3://bucket/in/key .*lost within the response") as caught:
            await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert not isinstance(caught.value, BodyCutShort)
        assert sink.consumed == 0


async def test_a_body_that_was_consumed_in_part_was_cut_short() -> None:
    async with playing((WHOLE, ranged(START, END, sent=BLOCK)), ranged(START, END, sent=0)) as service:
        sink = Collecting()
        await service.store.read_through("key", sink, start=START, length=len(WANTED))
        with pytest.raises(BodyCutShort, match=r"GET s3://bucket/in/key .*lost within the response"):
            await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert sink.data == WANTED + WANTED[:BLOCK]
        # What a sink has consumed before is no sign of life.
        with pytest.raises(ConnectionFailed) as caught:
            await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert not isinstance(caught.value, BodyCutShort)


async def test_after_an_early_end_only_what_is_missing_is_asked_for() -> None:
    cut = [
        ranged(START, END, sent=BLOCK + 99),
        ranged(START + BLOCK, END, sent=0),
        ranged(START + BLOCK, END, sent=2 * BLOCK),
        ranged(START + 3 * BLOCK, END),
    ]
    async with playing(*cut) as service:
        sink = Collecting()
        await RemoteStore(service.store, Retries(AT_ONCE)).read_through("key", sink, start=START, length=len(WANTED))
        assert sink.data == WANTED
        starts = [START, START + BLOCK, START + BLOCK, START + 3 * BLOCK]
        asked = [request.header(b"range") for request in service.requests]
        assert asked == [b"bytes=%d-%d" % (start, END - 1) for start in starts]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(b"404 No", "NoSuchKey"), ObjectNotFound),
        (refused(b"503 Slow", "SlowDown"), Throttled),
        (refused(b"400 Bad", "InvalidArgument"), StoreRefused),
        (ok(b"<html>", status=b"404 No"), InvalidResponse),
    ],
    ids=["404", "503", "400", "proxy"],
)
async def test_a_refusal_is_named_and_goes_nowhere_near_the_sink(answer: bytes, kind: type[Exception]) -> None:
    async with playing(answer) as service:
        sink = Collecting()
        with pytest.raises(kind, match="key"):
            await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert (sink.consumed, bytes(sink.block)) == (0, bytes(BLOCK))


async def test_a_bucket_elsewhere_is_asked_there_and_its_body_alone_passes() -> None:
    moved = refused(b"307 Moved", "TemporaryRedirect", headers=(b"x-amz-bucket-region: eu-west-1",))
    async with playing((moved, WHOLE)) as service:
        sink = Collecting()
        await service.store.read_through("key", sink, start=START, length=len(WANTED))
        assert sink.data == WANTED
        assert [asked.region for asked in service.requests] == ["us-east-1", "eu-west-1"]
