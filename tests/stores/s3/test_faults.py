"""Responses that are wrong, late, truncated, or not from a store at all."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace

import pytest

from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    InvalidResponse,
    ObjectNotFound,
    StoreError,
    StoreMissing,
    StoreRefused,
    Throttled,
    TransientStoreError,
)
from snapdir.stores.s3.store import S3Store
from tests.stores.s3.canned_server import XML, Answer, Exchange, cut, error, ignore, reply
from tests.stores.s3.conftest import CREDENTIALS, IMPATIENT, QUICK, CannedS3, opened

HTML = "<html><head><title>Sign in</title></head><body>Welcome to the hotel.</body></html>"


async def listed(store: S3Store) -> list[str]:
    return [info.key async for page in store.list("") for info in page]


def page(*keys: str, more: str = "<IsTruncated>false</IsTruncated>", size: str = "1") -> str:
    items = "".join(f"<Contents><Key>prefix/{key}</Key><Size>{size}</Size></Contents>" for key in keys)
    return f"{XML}<ListBucketResult><Name>bucket</Name>{items}{more}</ListBucketResult>"


def truncated(token: str) -> str:
    return f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


# Listing


@pytest.mark.parametrize(
    "body",
    [
        HTML,
        "<!doctype html><html><br></html>",
        "",
        "garbage",
        "{}",
        page("a", more="")[:-30],
        page("a", more=""),
        page("a", more="<KeyCount>1</KeyCount><IsTruncated>true</IsTruncated>"),
        page("a", size="many"),
        page("a", size="-1"),
        page("a").replace("prefix/", "other/"),
        page("a").replace("<Size>1</Size>", ""),
        "<ListBucketResult/>",
        f"{XML}<Error><Code>SomethingNew</Code></Error>",
    ],
)
async def test_a_200_that_is_no_page_is_never_an_empty_listing(against: CannedS3, body: str) -> None:
    async with against(reply(body)) as (store, _):
        with pytest.raises(TransientStoreError) as raised:
            await listed(store)
    assert isinstance(raised.value, InvalidResponse) or "SomethingNew" in str(raised.value)
    assert "s3://bucket" in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        reply(HTML, status=404),
        reply("", status=404),
        error("NoSuchKey", 404),
        error("NotFound", 404),
        error("NoSuchWebsiteConfiguration", 404),
    ],
)
async def test_a_404_to_a_listing_is_never_an_empty_listing(against: CannedS3, answer: Answer) -> None:
    async with against(answer) as (store, _):
        with pytest.raises(StoreError) as raised:
            await listed(store)
    assert not isinstance(raised.value, ObjectNotFound | StoreMissing)


async def test_pages_follow_each_other_to_the_end(against: CannedS3) -> None:
    pages = [page("a", "b", more=truncated("one")), page(more=truncated("two")), page("c")]
    async with against(*map(reply, pages)) as (store, server):
        assert await listed(store) == ["a", "b", "c"]
    assert ["continuation-token" in request.target for request in server.requests] == [False, True, True]


async def test_a_page_that_comes_again_and_again_is_noticed(against: CannedS3) -> None:
    async with against(reply(page("a", more=truncated("one")))) as (store, server):
        with pytest.raises(InvalidResponse, match="twice"):
            await listed(store)
    assert len(server.requests) <= 3


async def test_a_bucket_that_does_not_exist_is_named_with_the_way_out(against: CannedS3) -> None:
    async with against(error("NoSuchBucket", 404)) as (store, _):
        with pytest.raises(StoreMissing, match="s3://bucket") as raised:
            await listed(store)
        assert "create the bucket" in str(raised.value)
        with pytest.raises(StoreMissing):
            await store.read("key")


# HEAD


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(status=404), ObjectNotFound),
        (reply(status=403), AccessDenied),
        (reply(status=503), Throttled),
        (reply(status=500), TransientStoreError),
        (reply(length=None), InvalidResponse),
        (cut(b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: many\r\n\r\n"), TransientStoreError),
        (cut(b"220 smtp.example.org ESMTP\r\n"), TransientStoreError),
        (cut(b""), ConnectionFailed),
    ],
)
async def test_an_answer_to_head(against: CannedS3, answer: Answer, expected: type[StoreError]) -> None:
    async with against(answer) as (store, _):
        with pytest.raises(expected):
            await store.stat("key")


async def test_an_object_that_is_not_there_is_named_by_its_key(against: CannedS3) -> None:
    async with against(reply(status=404)) as (store, _):
        with pytest.raises(ObjectNotFound) as raised:
            await store.stat(".objects/key")
    assert raised.value.key == ".objects/key"


async def test_a_success_that_no_s3_service_would_send_is_none(against: CannedS3) -> None:
    async with against(reply(HTML, s3=False)) as (store, _):
        for call in (
            lambda: store.stat("key"),
            lambda: store.read("key"),
            lambda: store.read_into("key", memoryview(bytearray(1000)), start=0),
            lambda: store.write("key", b"data"),
        ):
            with pytest.raises(InvalidResponse):
                await call()


# GET


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"0123456789"),  # ignores Range
        reply(b"0123", Content_Range="bytes 0-3/10", status=206),
        reply(b"456789", Content_Range="bytes 4-9/10", status=206),
        reply(b"4567", Content_Range="4567", status=206),
        reply(HTML, s3=False),
        reply(HTML, status=404),
    ],
)
async def test_a_range_that_is_not_the_one_asked_for_is_no_success(against: CannedS3, answer: Answer) -> None:
    async with against(answer) as (store, _):
        with pytest.raises(InvalidResponse):
            await store.read_into("key", memoryview(bytearray(4)), start=4)
        with pytest.raises(InvalidResponse):
            await store.read("key", start=4, length=4)


async def test_more_than_the_buffer_holds_is_refused_and_not_written_behind_it(against: CannedS3) -> None:
    backing = bytearray(b"......")
    async with against(reply(b"0123456789", length=None)) as (store, _):
        with pytest.raises(InvalidResponse):
            await store.read_into("key", memoryview(backing)[:4], start=0)
    assert backing[4:] == b".."


@pytest.mark.parametrize("answer", [error("InvalidRange", 416), reply("", status=416)])
async def test_behind_the_end_there_is_nothing(against: CannedS3, answer: Answer) -> None:
    async with against(answer) as (store, _):
        assert await store.read("key", start=10) == b""
        assert await store.read_into("key", memoryview(bytearray(3)), start=10) == 0


async def test_an_object_that_is_not_there_is_not_found(against: CannedS3) -> None:
    async with against(error("NoSuchKey", 404)) as (store, _):
        with pytest.raises(ObjectNotFound) as raised:
            await store.read("some/key")
    assert raised.value.key == "some/key"


# PUT


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error("InternalError", 500), TransientStoreError),
        (reply(HTML, status=502), TransientStoreError),
        (error("RequestTimeout", 400), ConnectionFailed),
        (error("OperationAborted", 409), TransientStoreError),
        (error("EntityTooLarge", 400), StoreRefused),
        (error("QuotaExceeded", 403), StoreRefused),
        (error("AccessDenied", 403), AccessDenied),
        (error("SignatureDoesNotMatch", 403), AccessDenied),
        (error("NoSuchBucket", 404), StoreMissing),
        (reply(HTML, status=405), StoreRefused),
        (cut(b""), ConnectionFailed),
    ],
)
async def test_an_answer_to_put(against: CannedS3, answer: Answer, expected: type[StoreError]) -> None:
    async with against(answer) as (store, _):
        with pytest.raises(StoreError) as raised:
            await store.write("key", b"data")
    assert type(raised.value) is expected
    assert "PUT s3://bucket/prefix/key at http://127.0.0.1:" in str(raised.value)


async def test_a_store_that_wants_to_be_left_alone_says_for_how_long(against: CannedS3) -> None:
    async with against(error("SlowDown", 503, Retry_After="7"), reply("", status=429)) as (store, _):
        with pytest.raises(Throttled) as raised:
            await store.write("key", b"data")
        assert raised.value.retry_after_seconds == 7
        with pytest.raises(Throttled) as raised:
            await store.stat("key")
        assert raised.value.retry_after_seconds is None


async def test_the_refusal_carries_what_a_support_desk_asks_for(against: CannedS3) -> None:
    async with against(error("EntityTooLarge", 400, "Too\n\u009b2J large\u202e?X-Amz-Signature=abc")) as (store, _):
        with pytest.raises(StoreRefused) as raised:
            await store.write("key", b"data")
    text = str(raised.value)
    assert (raised.value.status, raised.value.error_code) == (400, "EntityTooLarge")
    assert "EntityTooLarge (HTTP 400, request REQUEST-1)" in text
    assert text.isprintable()
    assert "abc" not in text


async def test_an_early_refusal_of_a_large_body_is_the_error(against: CannedS3) -> None:
    async def refuse(exchange: Exchange) -> bool:  # without reading the body, as many servers do
        exchange.writer.write(
            b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 47\r\n\r\n"
            b"<Error><Code>InvalidAccessKeyId</Code></Error>\n"
        )
        await exchange.writer.drain()
        await exchange.reader.read()
        return False

    async with against(refuse) as (store, _):
        with pytest.raises(AccessDenied, match="InvalidAccessKeyId"):
            await store.write("key", bytes(8 << 20))


# Time


@pytest.mark.parametrize(
    "answer", [ignore(), ignore(first=b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 10\r\n\r\n01234")]
)
async def test_a_server_that_falls_silent_is_given_up(against: CannedS3, answer: Answer) -> None:
    async with against(answer, settings=IMPATIENT) as (store, _):
        with pytest.raises(ConnectionFailed):
            await store.read_into("key", memoryview(bytearray(10)), start=0)
        with pytest.raises(ConnectionFailed):
            await store.read("key")


async def test_a_server_that_does_not_take_the_body_is_given_up(against: CannedS3) -> None:
    async with against(ignore(body_read=False), settings=IMPATIENT) as (store, _):
        with pytest.raises(ConnectionFailed):
            await store.write("key", bytes(32 << 20))


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that accepts no connection because its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


async def test_a_host_that_does_not_answer_is_given_up(deaf_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf_port}")
    async with opened("s3://bucket", replace(QUICK, connect_timeout_seconds=0.2)) as store:
        with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{deaf_port}"):
            await store.stat("key")


async def test_a_refused_connection_names_the_endpoint_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}/base")
    async with opened("s3://bucket", QUICK) as store:
        with pytest.raises(ConnectionFailed) as raised:
            await store.stat("key")
    said = f"http://127.0.0.1:{port}/base: cannot connect to 127.0.0.1:{port}: Connection refused; check the endpoint"
    assert said in str(raised.value)


async def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.invalid:9000")
    async with opened("s3://bucket", QUICK) as store:
        with pytest.raises(ConnectionFailed, match=r"cannot connect to store\.invalid:9000"):
            await store.stat("key")


# Secrets


@pytest.mark.parametrize(
    "answer",
    [
        error("SignatureDoesNotMatch", 403, more="<StringToSign>AWS4 token-canary</StringToSign>"),
        error("InvalidToken", 400, more="<Token-0>token-canary</Token-0>"),
        reply(HTML, status=500),
        cut(b"garbage\r\n\r\n"),
        cut(b""),
    ],
)
async def test_no_message_holds_a_secret(against: CannedS3, answer: Answer) -> None:
    async with against(answer) as (store, server):
        for call in (lambda: store.write("key", b"data"), lambda: store.read("key"), lambda: listed(store)):
            with pytest.raises(StoreError) as raised:
                await call()
            everything = "".join(traceback.format_exception(raised.value)).lower()
            assert "secret-canary" not in everything
            assert "canary" not in str(raised.value).lower()
            assert "signature=" not in str(raised.value).lower()
    assert "canary" not in repr(store).lower()
    assert server.requests
