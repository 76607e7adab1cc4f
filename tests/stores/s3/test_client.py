"""Responses of a service, above HTTP: refusals are parsed, corrections made once, and nonsense is an error."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from anyio.to_thread import run_sync

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
from snapdir.stores.base import Page
from snapdir.stores.blocks import MIN_BLOCK_BYTES, BlockSink
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
from snapdir.stores.s3.aws.configuration import Profile
from snapdir.stores.s3.aws.endpoints import AWSEndpoints
from snapdir.stores.s3.client import S3Client
from snapdir.stores.s3.failures import BodyRefused, ErrorResponse
from snapdir.stores.s3.reading import size_and_checksum
from snapdir.stores.s3.signing import Credentials
from snapdir.stores.s3.target import S3Target
from snapdir.stores.s3.xml import UploadedPart
from snapdir.stores.settings import RetryPolicy

from .playing_service import KEYS, SECRET, SETTINGS, TOKEN, Service, Source, begun, error, ok, playing, refused

AT_ONCE = RetryPolicy(base_seconds=0.0)
PARTS = [UploadedPart(1, '"e"', 3)]
HOURS = 3600.0


def now(offset_seconds: float = 0.0) -> bytes:
    return b"Date: " + formatdate(time.time() + offset_seconds, usegmt=True).encode()


def sent_at(date: bytes | None) -> float:
    assert date
    return datetime.strptime(date.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def ignoring() -> BlockSink:
    return BlockSink(memoryview(bytearray(MIN_BLOCK_BYTES)), lambda _: None)


async def listed(service: Service) -> list[Page]:
    return [page async for page in service.store.list("")]


CALLS = {
    "HEAD": lambda service: service.store.stat("key"),
    "HEAD for the checksum": lambda service: size_and_checksum(service.client, "key"),
    "GET": lambda service: service.store.read("key", length=3),
    "GET into": lambda service: service.store.read_into("key", memoryview(bytearray(3)), start=0),
    "GET through": lambda service: service.store.read_through("key", ignoring(), start=0, length=3),
    "PUT": lambda service: service.store.write("key", b"abc"),
    "LIST": listed,
    "Create": lambda service: service.store.begin_upload("key", size=3, part_bytes=3),
    "part": lambda service: begun(service).write_part(1, b"abc"),
    "Complete": lambda service: begun(service)._complete(PARTS),
    "DELETE": lambda service: service.store.delete(["key"]),
    "DELETE many": lambda service: service.store.delete(["key", "other"]),
}
WITH_ERROR_BODY = [name for name in CALLS if not name.startswith("HEAD")]


@pytest.mark.parametrize("call", WITH_ERROR_BODY)
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (b"403 Forbidden", "AccessDenied", AccessDenied),
        (b"400 Bad Request", "EntityTooLarge", StoreRefused),
        (b"404 Not Found", "NoSuchBucket", StoreMissing),
        (b"500 Oops", "InternalError", TransientStoreError),
        (b"503 Slow Down", "SlowDown", Throttled),
    ],
)
async def test_a_refusal_is_named_by_status_code_request_and_key(
    call: str, status: bytes, code: str, kind: type[StoreError]
) -> None:
    async with playing(refused(status, code)) as service:
        with pytest.raises(kind) as caught:
            await CALLS[call](service)
        message = str(caught.value)
        for part in (code, f"HTTP {status[:3].decode()}", "REQ42", "words of the service"):
            assert part in message
        assert "s3://bucket" + ("" if call in ("LIST", "DELETE many") else "/in/key") in message


async def test_the_refusal_of_a_head_is_named_by_what_its_headers_say() -> None:
    head = b"HTTP/1.1 403 Forbidden\r\nx-amz-request-id: REQ42\r\n%b\r\n\r\n" % now()
    async with playing(head) as service:
        with pytest.raises(AccessDenied, match=r"s3://bucket/in/key.*HTTP 403, request REQ42"):
            await service.store.stat("key")


async def test_a_missing_key_is_not_found_and_a_missing_page_of_a_proxy_is_not() -> None:
    async with playing((refused(b"404 No", "NoSuchKey"), ok(b"<html>nothing here", status=b"404 No"))) as service:
        with pytest.raises(ObjectNotFound, match="key"):
            await service.store.read("key")
        with pytest.raises(InvalidResponse, match="does not look like S3"):
            await service.store.read("key")


async def test_retry_after_reaches_whoever_retries() -> None:
    async with playing(refused(b"503 Slow", "SlowDown", headers=(b"Retry-After: 7",))) as service:
        with pytest.raises(Throttled) as caught:
            await service.store.stat("key")
        assert caught.value.retry_after_seconds == 7.0


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch"])
async def test_a_checksum_that_the_service_finds_wrong_is_worth_another_try(code: str) -> None:
    async with playing((refused(b"400 Bad", code), ok())) as service:
        with pytest.raises(BodyRefused):
            await service.store.write("key", b"123456789")
        assert service.requests[0].header(b"x-amz-checksum-crc32c") == b"4waSgw=="  # the check value of CRC-32C
        assert await service.store.write("key", b"123456789")


# Another region


@pytest.mark.parametrize(
    "answer",
    [
        refused(b"301 Moved", "PermanentRedirect", headers=(b"x-amz-bucket-region: eu-west-1",)),
        refused(b"307 Moved", "TemporaryRedirect", headers=(b"x-amz-bucket-region: eu-west-1",)),
        refused(b"400 Bad", "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
    ],
    ids=["301", "307", "400"],
)
async def test_a_bucket_elsewhere_is_asked_there_once_and_from_then_on(answer: bytes) -> None:
    async with playing((answer, ok(b"abc"), ok(b"abc"))) as service:
        assert await service.store.read("key", length=3) == b"abc"
        assert await service.store.read("key", length=3) == b"abc"
        assert [asked.region for asked in service.requests] == ["us-east-1", "eu-west-1", "eu-west-1"]
        assert service.client.target.region == "eu-west-1"


async def test_a_head_learns_the_region_from_a_header() -> None:
    moved = b"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-1\r\n\r\n"
    async with playing((moved, b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 9\r\n\r\n")) as service:
        assert (await service.store.stat("key")).size == 9
        assert [asked.region for asked in service.requests] == ["us-east-1", "eu-west-1"]


async def test_a_service_that_sends_from_region_to_region_is_followed_once() -> None:
    async with playing(
        tuple(
            refused(b"301 Moved", "PermanentRedirect", headers=(b"x-amz-bucket-region: " + region,))
            for region in (b"eu-west-1", b"us-east-1")
        )
    ) as service:
        with pytest.raises(StoreRefused, match="the bucket is in us-east-1"):
            await service.store.read("key", length=3)


async def test_at_aws_the_other_region_has_another_host() -> None:
    profile = Profile(endpoints=await run_sync(AWSEndpoints))
    target = S3Target("s3://bucket", "bucket", "", None, "us-east-1", profile=profile)
    client = S3Client(target, Source(), SETTINGS, max_connections=1)
    signer, _ = await client._prepare()
    assert await client._move(ErrorResponse(301, "PermanentRedirect", bucket_region="eu-west-1"), signer)
    assert client.target.address[1] == "bucket.s3.eu-west-1.amazonaws.com"
    await client.aclose()


# The clock


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_is_off_is_corrected_once(hours: int) -> None:
    server_time = datetime.fromtimestamp(time.time() + hours * HOURS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    skewed = refused(b"403 No", "RequestTimeTooSkewed", f"<ServerTime>{server_time}</ServerTime>")
    async with playing((skewed, ok(b"abc"), ok(b"abc"))) as service:
        assert await service.store.read("key", length=3) == b"abc"
        assert await service.store.read("key", length=3) == b"abc"
        dates = [sent_at(asked.header(b"x-amz-date")) - time.time() for asked in service.requests]
        assert dates == pytest.approx([0, hours * HOURS, hours * HOURS], abs=30)


async def test_a_head_learns_the_time_from_the_date_of_a_403() -> None:
    skewed = b"HTTP/1.1 403 Forbidden\r\n%b\r\n\r\n" % now(5 * HOURS)
    async with playing((skewed, b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 9\r\n\r\n")) as service:
        assert (await service.store.stat("key")).size == 9
        assert sent_at(service.requests[1].header(b"x-amz-date")) == pytest.approx(time.time() + 5 * HOURS, abs=30)


async def test_a_clock_that_the_service_still_dislikes_is_an_error_that_says_so() -> None:
    skewed = refused(b"403 No", "RequestTimeTooSkewed", headers=(now(5 * HOURS),))
    async with playing((skewed, skewed)) as service:
        with pytest.raises(AccessDenied, match="correct the clock of this machine"):
            await service.store.read("key", length=3)


@pytest.mark.parametrize("said", [b"Date: yesterday", b"Date: 2026-13-45"])
async def test_a_time_that_is_none_leaves_the_refusal_as_it_was(said: bytes) -> None:
    body = "<ServerTime>noon</ServerTime>" if said.endswith(b"y") else ""
    async with playing(refused(b"403 No", "RequestTimeTooSkewed", body, headers=(said,))) as service:
        with pytest.raises(AccessDenied):
            await service.store.read("key", length=3)
        assert len(service.requests) == 1


# Credentials


async def test_expired_credentials_are_renewed_once() -> None:
    source = Source([Credentials("OLD", "a", "t"), Credentials("NEW", "b", "u")])
    expired = refused(b"400 Bad", "ExpiredToken")
    async with playing((expired, ok(b"abc"), ok(b"abc")), source=source) as service:
        assert await service.store.read("key", length=3) == b"abc"
        assert await service.store.read("key", length=3) == b"abc"
        assert [asked.access_key for asked in service.requests] == ["OLD", "NEW", "NEW"]
        assert source.asked == 2


async def test_expired_credentials_without_others_are_an_error_that_says_so() -> None:
    async with playing(refused(b"400 Bad", "ExpiredToken")) as service:
        with pytest.raises(AccessDenied, match="sign in again"):
            await service.store.read("key", length=3)


@pytest.mark.parametrize("kind", ["region", "clock", "credentials"])
async def test_requests_that_were_under_way_profit_from_the_correction_of_another(kind: str) -> None:
    """Four concurrent requests are refused for the same reason; the first correction serves all."""
    refusal = {
        "region": refused(b"301 Moved", "PermanentRedirect", headers=(b"x-amz-bucket-region: eu-west-1",)),
        "clock": refused(b"403 No", "RequestTimeTooSkewed", headers=(now(5 * HOURS),)),
        "credentials": refused(b"400 Bad", "ExpiredToken"),
    }[kind]
    source = Source([Credentials("OLD", "a", "t"), Credentials("NEW", "b", "u")])
    connections = [(refusal, ok(b"abc"))] * 4
    async with playing(*connections, source=source, max_connections=4) as service:
        got = await asyncio.gather(*[service.store.read("key", length=3) for _ in range(4)])
        assert got == [b"abc"] * 4
        assert len(service.requests) == 8


# Success that is none

GARBAGE = [b"", b"<html>welcome to the hotel wifi</html>", b"\x00\xff<<", b"<Other/>"]


@pytest.mark.parametrize("call", ["LIST", "Create", "Complete", "DELETE many"])
@pytest.mark.parametrize("body", GARBAGE, ids=["empty", "html", "binary", "other"])
async def test_a_200_with_nonsense_is_no_answer(call: str, body: bytes) -> None:
    async with playing(ok(body)) as service:
        with pytest.raises(InvalidResponse, match="s3://bucket"):
            await CALLS[call](service)


async def test_a_part_without_an_etag_is_no_answer() -> None:
    async with playing(ok()) as service:
        with pytest.raises(InvalidResponse, match="no ETag"):
            await CALLS["part"](service)


async def test_an_error_inside_a_200_fails_the_complete() -> None:
    async with playing(ok(error("InternalError", "<RequestId>REQ42</RequestId>"))) as service:
        with pytest.raises(TransientStoreError, match=r"InternalError .*REQ42.*words of the service"):
            await CALLS["Complete"](service)


@pytest.mark.parametrize(
    "page",
    [
        b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>true</IsTruncated></ListBucketResult>",
        b"<ListBucketResult></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>in/a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>in/a</Key><Size>"
        + b"9" * 5000
        + b"</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>out/a</Key><Size>1</Size></Contents>"
        b"</ListBucketResult>",
    ],
    ids=["goes on, not where", "no word on the end", "no size", "no such size", "not ours"],
)
async def test_half_a_page_is_no_listing(page: bytes) -> None:
    async with playing(ok(page)) as service:
        with pytest.raises(InvalidResponse):
            await listed(service)


# No secrets


@pytest.mark.parametrize("call", WITH_ERROR_BODY)
async def test_no_message_holds_a_secret_that_a_service_plays_back(call: str) -> None:
    """AWS does play back what it was sent, to help: the string to sign, the token."""
    played_back = f"x-amz-security-token:{TOKEN} Authorization: AWS4-HMAC-SHA256 Signature={SECRET}"
    spiteful = ok(error("SignatureDoesNotMatch", message=played_back), status=b"403 Forbidden")
    async with playing(spiteful) as service:
        with pytest.raises(AccessDenied) as caught:
            await CALLS[call](service)
        chain = repr(caught.value) + str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
        assert not re.search(f"{SECRET}|{TOKEN}|AWS4-HMAC", chain)
    assert SECRET not in repr(KEYS)
    assert TOKEN not in repr(KEYS)


# Bodies that end early


def cut(content_length: int, body: bytes, *headers: bytes, status: bytes = b"206 Partial") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, content_length, body)


async def test_a_body_that_ends_early_is_a_failed_connection() -> None:
    async with playing(cut(6, b"abc", status=b"200 OK")) as service:
        with pytest.raises(ConnectionFailed, match=r"GET s3://bucket/in/key .*lost within the response"):
            await service.store.read("key")


async def test_what_is_read_again_after_an_early_end_is_right() -> None:
    cut_short = cut(6, b"\0\0\0", b"Content-Range: bytes 2-7/8")
    whole = ok(b"cdefgh", b"Content-Range: bytes 2-7/8", status=b"206 Partial")
    async with playing(cut_short, (whole,), cut_short, (whole,)) as service:
        store = RemoteStore(service.store, Retries(AT_ONCE))
        buffer = bytearray(6)
        assert await store.read_into("key", memoryview(buffer), start=2) == 6
        assert buffer == b"cdefgh"
        assert await store.read("key", start=2, length=6) == b"cdefgh"
        assert len(service.requests) == 4


async def test_what_never_comes_whole_fails_after_the_attempts_it_was_given() -> None:
    async with playing(*[cut(6, b"abc", status=b"200 OK")] * 5) as service:
        with pytest.raises(ConnectionFailed) as caught:
            await RemoteStore(service.store, Retries(AT_ONCE)).read("key")
        assert caught.value.attempts == 5
        assert len(service.requests) == 5
