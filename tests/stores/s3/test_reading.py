"""Ranges other than the requested ones, conditional writes, keys and checksums."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.errors import AccessDenied, InvalidResponse, StoreMissing, StoreRefused
from snapdir.stores.base import FileRange
from snapdir.stores.s3.store import S3Store

from .playing_service import begun, error, ok, playing, refused


def ranged(body: bytes, content_range: bytes, status: bytes = b"206 Partial Content") -> bytes:
    return ok(body, b"Content-Range: " + content_range, status=status)


@pytest.mark.parametrize(
    "content_range",
    [b"bytes 0-2/9", b"bytes 4-6/9", b"bytes 3-6/9", b"bytes 5-3/9", b"bytes 3-4/9", b"bytes */9", b"items 3-5/9", b""],
)
async def test_another_range_than_the_one_asked_for_is_no_answer(content_range: bytes) -> None:
    async with playing(ranged(b"abc", content_range)) as service:
        with pytest.raises(InvalidResponse, match=r"Content-(Range|Length)"):
            await service.store.read("key", start=3, length=3)
        assert service.requests[0].header(b"range") == b"bytes=3-5"


@pytest.mark.parametrize("start", [0, 3])
async def test_the_whole_object_where_a_range_was_asked_for_is_no_answer(start: int) -> None:
    async with playing(ok(b"abcdefghi")) as service:
        with pytest.raises(InvalidResponse):
            await service.store.read("key", start=start, length=3)


async def test_a_whole_object_is_never_received_into_the_place_of_a_range() -> None:
    async with playing(ok(b"abc")) as service:
        with pytest.raises(InvalidResponse, match="no Range support"):
            await service.store.read_into("key", memoryview(bytearray(3)), start=3)


async def test_more_bytes_than_the_buffer_holds_are_no_answer() -> None:
    async with playing(ok(b"abcdef")) as service:
        with pytest.raises(InvalidResponse):
            await service.store.read_into("key", memoryview(bytearray(3)), start=0)


async def test_a_range_in_a_200_that_says_so_is_taken() -> None:
    async with playing(ranged(b"def", b"bytes 3-5/9", b"200 OK")) as service:
        assert await service.store.read("key", start=3, length=3) == b"def"


async def test_an_object_that_ends_within_the_range_gives_what_there_is() -> None:
    async with playing((ranged(b"hi", b"bytes 7-8/9"), refused(b"416 No", "InvalidRange"))) as service:
        buffer = bytearray(4)
        assert await service.store.read_into("key", memoryview(buffer), start=7) == 2
        assert await service.store.read_into("key", memoryview(buffer), start=9) == 0
        assert buffer == b"hi\0\0"


async def test_a_412_to_a_write_without_a_condition_is_a_refusal() -> None:
    async with playing(refused(b"412 No", "PreconditionFailed")) as service:
        with pytest.raises(StoreRefused, match="PreconditionFailed"):
            await service.store.write("key", b"abc")


async def test_a_checksum_that_the_service_does_not_know_is_not_sent_again() -> None:
    async with playing((refused(b"501 No", "NotImplemented"), ok(), ok())) as service:
        assert await service.store.write("a", b"abc")
        assert await service.store.write("b", b"abc")
        carried = [asked.header(b"x-amz-checksum-crc32c") is not None for asked in service.requests]
        assert carried == [True, False, False]


async def test_an_upload_says_beforehand_which_checksum_its_parts_carry(tmp_path: Path) -> None:
    created = ok(b"<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>")
    completed = ok(b"<CompleteMultipartUploadResult/>")
    (tmp_path / "file").write_bytes(b"123456789")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        async with playing((created, ok(b"", b'ETag: "e1"'), completed)) as service:
            upload = await service.store.begin_upload("key", size=9, part_bytes=9)
            await upload.write_part(1, FileRange(descriptor, 0, 9))
            await upload.commit()
            create, part, complete = service.requests
    finally:
        os.close(descriptor)
    assert create.header(b"x-amz-checksum-algorithm") == b"CRC32C"
    assert part.line == "PUT /bucket/in/key?partNumber=1&uploadId=u%2F1 HTTP/1.1"
    assert part.header(b"x-amz-checksum-crc32c") == b"4waSgw=="
    assert part.body == b"123456789"
    assert b'<Part><ChecksumCRC32C>4waSgw==</ChecksumCRC32C><ETag>"e1"</ETag><PartNumber>1</PartNumber>' in (
        complete.body
    )


async def test_keys_that_could_not_be_deleted_are_an_error() -> None:
    response = b"<DeleteResult><Error><Key>in/b</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    async with playing(ok(response)) as service:
        with pytest.raises(AccessDenied, match="s3://bucket/in/b at"):
            await service.store.delete(["a", "b"])


@pytest.mark.parametrize("body", [b"", error("NoSuchKey")], ids=["silent", "NoSuchKey"])
async def test_what_is_gone_already_is_deleted(body: bytes) -> None:
    async with playing(ok(body, status=b"404 Not Found")) as service:
        await service.store.delete(["key"])


async def test_nothing_is_deleted_where_the_bucket_is_missing() -> None:
    async with playing((refused(b"404 No", "NoSuchBucket"), ok(b"<html>", status=b"404 Not Found"))) as service:
        with pytest.raises(StoreMissing):
            await service.store.delete(["key"])
        with pytest.raises(InvalidResponse):
            await begun(service).abort()


async def test_a_page_that_comes_twice_is_an_error_and_no_endless_listing() -> None:
    page = ok(
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        b"<Contents><Key>in/a</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    async with playing((page, page)) as service:
        with pytest.raises(InvalidResponse, match="twice"):
            await keys_of(service.store)


async def test_a_listing_asks_for_encoded_keys_and_decodes_them() -> None:
    first = ok(
        b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>to+ken/=</NextContinuationToken>"
        b"<Contents><Key>in/a%20b%2Bc</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    last = ok(
        b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        b"<Contents><Key>in/z</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    async with playing((first, last)) as service:
        assert await keys_of(service.store) == ["a b+c", "z"]
        assert "encoding-type=url" in service.requests[0].line
        assert "continuation-token=to%2Bken%2F%3D&" in service.requests[1].line


async def keys_of(store: S3Store) -> list[str]:
    return [info.key async for page in store.list("") for info in page]
