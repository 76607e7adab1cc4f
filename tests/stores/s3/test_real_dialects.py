"""Responses recorded from real servers."""

from __future__ import annotations

import pytest

from snapdir.errors import InvalidResponse, ObjectNotFound, StoreRefused
from tests.stores.s3.canned_server import XML, Answer, reply
from tests.stores.s3.conftest import CannedS3

PARTS = (
    f'{XML}<ListPartsResponse xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><Key>key</Key>'
    "<UploadId>1</UploadId><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>1</NextPartNumberMarker>"
    '<IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><ETag>"one"</ETag><Size>4</Size></Part>'
    "</ListPartsResponse>"
)


def announced(total: str, *, status: int = 206) -> Answer:
    """s3rver's response to a range of an empty object: it announces one byte and sends none."""
    return reply("", length=1, status=status, Content_Range=total)


def error_about(key: str, code: str = "NoSuchKey") -> Answer:
    body = f"{XML}<Error><Code>{code}</Code><Message>The key does not exist.</Message><Key>{key}</Key></Error>"
    return reply(body, status=404)


async def test_the_parts_of_an_upload_as_moto_lists_them(against: CannedS3) -> None:
    async with against(reply(PARTS)) as (store, _):
        upload = await store.begin_upload("key", size=8, part_bytes=4, resume="1")
        assert upload.held_bytes == 4
        upload.keep()


@pytest.mark.parametrize("name", ["ListPartsResults", "ListBucketResult", "html"])
async def test_another_answer_is_no_list_of_parts(against: CannedS3, name: str) -> None:
    async with against(reply(PARTS.replace("ListPartsResponse", name))) as (store, _):
        with pytest.raises(InvalidResponse, match="ListPartsResult"):
            await store.begin_upload("key", size=8, part_bytes=4, resume="1")


@pytest.mark.parametrize("total", ["bytes 0-0/0", "bytes */0", "bytes 0--1/0"])
@pytest.mark.parametrize("status", [200, 206])
async def test_an_empty_object_has_no_byte_whatever_is_announced(against: CannedS3, total: str, status: int) -> None:
    answer = announced(total, status=status)
    async with against(answer) as (store, server):
        assert await store.read("key", length=1024) == b""
        server.play(answer)
        assert await store.read_into("key", memoryview(bytearray(8)), start=0) == 0
        server.play(reply("data", status=206, Content_Range="bytes 0-3/4"))
        assert await store.read("key", length=4) == b"data", "the next request has a connection of its own"


async def test_the_size_of_an_empty_object_that_head_leaves_out(against: CannedS3) -> None:
    head = reply("", length=None, Transfer_Encoding="chunked")
    async with against(head, announced("bytes 0-0/0")) as (store, _):
        assert (await store.stat("key")).size == 0


@pytest.mark.parametrize("key", ["&uuml;n&iuml;/&#x65E5;", "&NotEqualTilde; &amp; &lt;", "a&apos;b"])
async def test_an_error_that_names_its_key_as_html_would(against: CannedS3, key: str) -> None:
    async with against(error_about(key)) as (store, server):
        with pytest.raises(ObjectNotFound):
            await store.read("key")
        server.play(error_about(key, code="NoSuchUpload"))
        with pytest.raises(StoreRefused, match="NoSuchUpload"):
            await store.read("key")


@pytest.mark.parametrize("key", ["&nonsense;", "&uuml", "&uuml;<"])
async def test_what_is_not_even_that_is_no_answer_of_s3(against: CannedS3, key: str) -> None:
    async with against(error_about(key)) as (store, _):
        with pytest.raises(InvalidResponse, match="does not look like S3"):
            await store.read("key")


@pytest.mark.parametrize("encoding", ["nonsense", "rot13", "utf-16", "utf-7"])
async def test_an_answer_in_an_encoding_that_nobody_knows_is_no_answer_of_s3(against: CannedS3, encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><Error><Code>NoSuchKey</Code></Error>'
    async with against(reply(body, status=404)) as (store, _):
        with pytest.raises(InvalidResponse, match="does not look like S3"):
            await store.read("key")
