"""Requests of a store, and what it learns from a response for later requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snapdir.errors import InFluxError, InvalidResponse, LocalError, StoreRefused, TransientStoreError
from snapdir.stores.base import FileRange, Upload
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.upload import list_parts
from snapdir.stores.s3.xml import UploadedPart
from tests.stores.s3.canned_server import XML, Answer, Exchange, cut, error, reply
from tests.stores.s3.conftest import CannedS3

CRC_HEADER = "x-amz-checksum-crc32c"
CRC_OF_DIGITS = "4waSgw=="  # of 123456789: the check value of CRC-32C, 0xE3069283
CREATED = reply(f"{XML}<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>")
COMPLETED = reply(f"{XML}<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>")
PART = 5 << 20


@contextmanager
def a_file(path: Path, data: bytes) -> Iterator[int]:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


async def test_a_body_goes_out_unsigned_and_with_its_checksum(against: CannedS3) -> None:
    async with against(reply()) as (store, server):
        await store.write("a key", memoryview(b"123456789"))
    request = server.requests[0]
    assert (request.method, request.target, request.body) == ("PUT", "/bucket/prefix/a%20key", b"123456789")
    assert request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert request.headers[CRC_HEADER] == CRC_OF_DIGITS
    assert request.headers["content-length"] == "9"
    assert request.region == "us-east-1"
    # Expect: a server that never says 100 would be waited for for ever; MD5: slow, and no more than CRC32C is worth.
    unwanted = {"expect", "content-md5", "transfer-encoding", "content-encoding", "x-amz-trailer", "if-none-match"}
    assert unwanted.isdisjoint(request.headers)


async def test_the_checksum_of_a_file_is_the_one_of_the_pass_that_hashed_it(against: CannedS3, tmp_path: Path) -> None:
    with a_file(tmp_path / "file", b"..123456789..") as fd:
        async with against(reply()) as (store, server):
            await store.write("key", FileRange(fd, 2, 9, crc32c=0xE3069283))
            await store.write("key", FileRange(fd, 2, 9))
    assert [request.body for request in server.requests] == [b"123456789"] * 2
    assert [request.headers.get(CRC_HEADER) for request in server.requests] == [CRC_OF_DIGITS, None]


@pytest.mark.parametrize("size", [0, 1, 64 << 10, (1 << 20) + 1, 5_000_000])
async def test_large_and_small_bodies_arrive_whole(against: CannedS3, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    with a_file(tmp_path / "file", data) as fd:
        async with against(reply()) as (store, server):
            await store.write("key", FileRange(fd, 0, size))
            await store.write("key", bytearray(data))
    assert [request.body == data for request in server.requests] == [True, True]


@pytest.mark.parametrize("refusal", [error("NotImplemented", 501), error("InvalidArgument", 400)])
async def test_a_service_that_refuses_checksums_is_not_sent_any_more(against: CannedS3, refusal: Answer) -> None:
    async with against(refusal, reply()) as (store, server):
        for _ in range(3):
            await store.write("key", b"123456789")
    assert [CRC_HEADER in request.headers for request in server.requests] == [True, False, False, False]


async def test_a_refusal_for_another_reason_is_the_error_and_checksums_stay(against: CannedS3) -> None:
    async with against(*[error("InvalidArgument", 400)] * 2, reply()) as (store, server):
        with pytest.raises(StoreRefused, match="InvalidArgument"):
            await store.write("key", b"123456789")
        await store.write("key", b"123456789")
    assert [CRC_HEADER in request.headers for request in server.requests] == [True, False, True]


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch"])
async def test_bytes_that_changed_on_the_way_may_be_sent_again(against: CannedS3, code: str) -> None:
    async with against(error(code, 400), reply()) as (store, _):
        with pytest.raises(TransientStoreError, match="bytes that differ from those hashed"):
            await store.write("key", b"123456789")
        await store.write("key", b"123456789")


async def test_a_file_that_is_no_longer_what_was_hashed_is_named(against: CannedS3, tmp_path: Path) -> None:
    with a_file(tmp_path / "changing", b"987654321") as fd:
        async with against(error("BadDigest", 400)) as (store, _):
            with pytest.raises(InFluxError, match="changing"):  # for good: it would differ every time
                await store.write("key", FileRange(fd, 0, 9, crc32c=0xE3069283))


async def test_a_file_that_shrinks_while_it_is_sent_is_named(against: CannedS3, tmp_path: Path) -> None:
    with a_file(tmp_path / "shrinking", bytes(1000)) as fd:
        async with against(reply()) as (store, _):
            with pytest.raises(InFluxError, match="shrinking"):
                await store.write("key", FileRange(fd, 0, 2000))


async def test_a_file_that_cannot_be_read_is_named(against: CannedS3, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)  # reading a folder fails
    async with against(reply()) as (store, _):
        with pytest.raises(LocalError, match=tmp_path.name):
            await store.write("key", FileRange(fd, 0, 2000))
    os.close(fd)


# Regions


async def test_a_bucket_of_another_region_is_found_once_and_remembered(against: CannedS3) -> None:
    wrong = error("AuthorizationHeaderMalformed", 400, more="<Region>eu-west-3</Region>")
    async with against(wrong, reply()) as (store, server):
        await store.write("key", b"data")
        await store.write("key", b"data")
    assert [request.region for request in server.requests] == ["us-east-1", "eu-west-3", "eu-west-3"]
    assert [request.body for request in server.requests] == [b"data"] * 3


async def test_a_head_says_the_region_in_a_header_only(against: CannedS3) -> None:
    async with against(reply(status=400, x_amz_bucket_region="eu-west-2"), reply(b"12345")) as (store, server):
        assert (await store.stat("key")).size == 5
    assert server.requests[-1].region == "eu-west-2"


@pytest.mark.parametrize("answer", [error("PermanentRedirect", 301), error("AuthorizationHeaderMalformed", 400)])
async def test_a_bucket_that_is_elsewhere_and_nobody_says_where_is_the_error(against: CannedS3, answer: Answer) -> None:
    async with against(answer) as (store, server):
        with pytest.raises(StoreRefused, match="AWS_REGION"):
            await store.read("key")
    assert len(server.requests) < 5


# Conditional writes, deletions


async def test_where_the_promise_is_not_kept_a_conditional_write_looks_first(against: CannedS3) -> None:
    async with against(reply(b"data")) as (store, server):
        assert not store.capabilities.conditional_write
        assert await store.write("key", b"data", if_absent=True) is False
    assert [request.method for request in server.requests] == ["HEAD"]


@pytest.mark.parametrize(("answer", "written"), [(reply(), True), (error("PreconditionFailed", 412), False)])
async def test_where_it_is_kept_the_store_decides(against: CannedS3, answer: Answer, written: bool) -> None:
    async with against(answer) as (store, server):
        store._capabilities = store.capabilities._replace(conditional_write=True)
        assert await store.write("key", b"data", if_absent=True) is written
    assert server.requests[0].headers["if-none-match"] == "*"


async def test_many_keys_are_deleted_in_one_request_and_a_refusal_is_the_error(against: CannedS3) -> None:
    some_refused = reply(
        f"{XML}<DeleteResult><Error><Key>prefix/b</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    )
    async with against(reply(f"{XML}<DeleteResult/>"), some_refused) as (store, server):
        await store.delete(["a", "b"])
        with pytest.raises(Exception, match="prefix/b"):
            await store.delete(["a", "b"])
    assert b"prefix/a" in server.requests[0].body


async def test_a_service_without_that_request_gets_one_a_key(against: CannedS3) -> None:
    async with against(error("NotImplemented", 501), reply(status=204)) as (store, server):
        await store.delete(["a", "b"])
    assert [request.target for request in server.requests[1:]] == ["/bucket/prefix/a", "/bucket/prefix/b"]


# Uploads in parts


async def two_parts(store: S3Store) -> Upload:
    upload = await store.begin_upload("key", size=PART + 9, part_bytes=PART)
    await upload.write_part(2, b"123456789")
    await upload.write_part(1, bytes(PART))
    return upload


async def test_an_upload_is_created_filled_in_any_order_and_completed_in_theirs(against: CannedS3) -> None:
    async with against(CREATED, reply(ETag='"two"'), reply(ETag='"one"'), COMPLETED) as (store, server):
        await (await two_parts(store)).commit()
        await store.aclose()
    created, second, first, completed = server.requests
    assert created.headers["x-amz-checksum-algorithm"] == "CRC32C"
    place, _, query = second.target.partition("?")
    assert (place, sorted(query.split("&"))) == ("/bucket/prefix/key", ["partNumber=2", "uploadId=upload-1"])
    assert second.headers[CRC_HEADER] == CRC_OF_DIGITS
    assert (len(first.body), len(second.body)) == (PART, 9)
    body = completed.body.decode()
    assert body.index('<ETag>"one"</ETag>') < body.index('<ETag>"two"</ETag>')
    assert f"<ChecksumCRC32C>{CRC_OF_DIGITS}</ChecksumCRC32C>" in body


async def test_parts_of_a_file_get_a_checksum_even_if_nobody_knew_it(against: CannedS3, tmp_path: Path) -> None:
    with a_file(tmp_path / "file", b"123456789") as fd:
        async with against(CREATED, reply()) as (store, server):
            upload = await store.begin_upload("key", size=9, part_bytes=PART)
            await upload.write_part(1, FileRange(fd, 0, 9))
    assert server.requests[1].headers[CRC_HEADER] == CRC_OF_DIGITS


async def test_an_upload_without_checksums_stays_without(against: CannedS3) -> None:
    async with against(error("NotImplemented", 501), CREATED, reply(), reply(), COMPLETED) as (store, server):
        await (await two_parts(store)).commit()
    _, created, *parts, completed = server.requests
    assert "x-amz-checksum-algorithm" not in created.headers
    assert all(CRC_HEADER not in part.headers for part in parts)
    assert b"Checksum" not in completed.body


@pytest.mark.parametrize(("number", "length"), [(0, PART), (1, 9), (2, PART), (3, 1)])
async def test_a_part_that_does_not_fit_is_refused(against: CannedS3, number: int, length: int) -> None:
    async with against(CREATED) as (store, server):
        upload = await store.begin_upload("key", size=PART + 9, part_bytes=PART)
        with pytest.raises(StoreRefused, match="does not fit"):
            await upload.write_part(number, bytes(length))
        assert len(server.requests) == 1


async def test_an_upload_with_a_part_missing_is_not_completed(against: CannedS3) -> None:
    async with against(CREATED, reply()) as (store, server):
        upload = await store.begin_upload("key", size=PART + 9, part_bytes=PART)
        await upload.write_part(2, b"123456789")
        with pytest.raises(StoreRefused, match="only 1 parts have come"):
            await upload.commit()
        assert len(server.requests) == 2


async def test_an_empty_upload_is_one_empty_part(against: CannedS3) -> None:
    async with against(CREATED, reply(), COMPLETED) as (store, server):
        await (await store.begin_upload("key", size=0, part_bytes=PART)).commit()
    assert [request.method for request in server.requests] == ["POST", "PUT", "POST"]


async def test_the_parts_of_an_upload_are_listed_page_by_page(against: CannedS3) -> None:
    def page(number: int, end: str) -> Answer:
        checksum = f"<ChecksumCRC32C>{CRC_OF_DIGITS}</ChecksumCRC32C>"
        part = f"<Part><PartNumber>{number}</PartNumber><ETag>e</ETag><Size>9</Size>{checksum}</Part>"
        return reply(f"{XML}<ListPartsResult><UploadId>1</UploadId>{part}{end}</ListPartsResult>")

    more = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
    answers = [page(1, more), page(2, "<IsTruncated>false</IsTruncated>"), reply("<html></html>")]
    async with against(*answers) as (store, server):
        pages = [list(page) async for page in list_parts(store._client, "a", "1")]
        assert pages == [[UploadedPart(number, "e", 9, 0xE3069283)] for number in (1, 2)]
        with pytest.raises(InvalidResponse):
            await anext(aiter(list_parts(store._client, "a", "1")))
    assert "part-number-marker=1" in server.requests[1].target


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(f"{XML}<Error><Code>InternalError</Code></Error>"), TransientStoreError),
        (reply(f"{XML}<Error><Code>SlowDown</Code></Error>"), TransientStoreError),
        (reply("<html></html>"), InvalidResponse),
        (reply(""), InvalidResponse),
        (reply(f"{XML}<Something/>"), InvalidResponse),
        (cut(b""), TransientStoreError),
        (error("InvalidPart", 400), StoreRefused),
    ],
)
async def test_a_completion_that_did_not_happen_is_an_error(
    against: CannedS3, answer: Answer, expected: type[Exception]
) -> None:
    async with against(CREATED, reply(), reply(), answer) as (store, _):
        upload = await two_parts(store)
        with pytest.raises(expected):
            await upload.commit()


@pytest.mark.parametrize(("size", "published"), [(PART + 9, True), (PART, False)])
async def test_a_completion_whose_answer_got_lost_is_recognised(against: CannedS3, size: int, published: bool) -> None:
    lost = [cut(b""), reply(status=404), error("NoSuchUpload", 404), reply(length=size), reply(status=204)]
    async with against(CREATED, reply(), reply(), *lost) as (store, _):
        upload = await two_parts(store)
        with pytest.raises(TransientStoreError):
            await upload.commit()
        if published:
            await upload.commit()
        else:
            with pytest.raises(StoreRefused, match="NoSuchUpload"):
                await upload.commit()


async def test_an_upload_that_was_aborted_elsewhere_is_an_error(against: CannedS3) -> None:
    async with against(CREATED, reply(), reply(), error("NoSuchUpload", 404)) as (store, server):
        upload = await two_parts(store)
        with pytest.raises(StoreRefused, match="aborted or has expired"):
            await upload.commit()
        await upload.abort()  # it is gone: fine
    assert server.requests[-1].method == "DELETE"


async def test_what_was_begun_and_forgotten_is_aborted_when_the_store_closes(against: CannedS3) -> None:
    async def gone(exchange: Exchange) -> bool:
        return await reply(status=204)(exchange)

    async with against(CREATED, gone) as (store, server):
        await store.begin_upload("key", size=PART, part_bytes=PART)
        await store.aclose()
        await store.aclose()
    assert [request.method for request in server.requests] == ["POST", "DELETE"]
    assert "uploadId=upload-1" in server.requests[1].target


async def test_failing_to_abort_does_not_keep_a_store_from_closing(
    against: CannedS3, caplog: pytest.LogCaptureFixture
) -> None:
    async with against(CREATED, error("AccessDenied", 403)) as (store, _):
        await store.begin_upload("key", size=PART, part_bytes=PART)
        await store.aclose()
    assert "s3://bucket/prefix/key" in caplog.text
    assert "AccessDenied" in caplog.text
