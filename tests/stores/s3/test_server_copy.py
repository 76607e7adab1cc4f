"""Copies that the service makes by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from snapdir.errors import InvalidResponse, ObjectNotFound, StoreRefused, TransientStoreError
from snapdir.stores.s3.store import S3Store
from tests.rclone_server import RcloneServer
from tests.stores.s3.canned_server import error, reply
from tests.stores.s3.conftest import CannedS3, opened

ODD_KEYS = ["plain", "with space/and+plus", "per%cent/%41", "ünïcode/日本語", "amp&equals=?question"]
DATA = b"some bytes" * 1000


@pytest.fixture
async def real(server: RcloneServer) -> AsyncIterator[tuple[S3Store, S3Store]]:
    """Two places in one service."""
    async with opened("s3://bucket/copies/from") as one, opened("s3://bucket/copies/to here") as other:
        yield one, other


async def test_the_service_copies_under_any_key(real: tuple[S3Store, S3Store]) -> None:
    source, target = real
    assert source.capabilities.copy_service == target.capabilities.copy_service != ""
    for key in ODD_KEYS:
        await source.write(key, DATA + key.encode())
        await target.copy_from(key, source.capabilities.copy_prefix + key)
        assert await target.read(key) == DATA + key.encode()


async def test_a_copy_of_nothing_says_so(real: tuple[S3Store, S3Store]) -> None:
    source, target = real
    with pytest.raises(ObjectNotFound):
        await target.copy_from("x", source.capabilities.copy_prefix + "not there")


async def test_a_service_that_takes_a_copied_part_for_an_empty_one_is_found_out(real: tuple[S3Store, S3Store]) -> None:
    source, target = real
    await source.write("x", bytes(6_000_000))
    upload = await target.begin_upload("x", size=6_000_000, part_bytes=6_000_000)
    with pytest.raises(StoreRefused, match="does not support copies"):
        await upload.copy_part(1, source.capabilities.copy_prefix + "x", start=0, length=6_000_000)
    await upload.abort()


async def test_parts_are_copied_and_committed_with_the_checksums_of_the_service(against: CannedS3) -> None:
    begun = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    part = b'<CopyPartResult><ETag>"e"</ETag><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></CopyPartResult>'
    done = b'<CompleteMultipartUploadResult><ETag>"f"</ETag></CompleteMultipartUploadResult>'
    answers = [reply(body) for body in (begun, part, part, done)]
    size = 11_000_000
    async with against(*answers) as (store, server):
        upload = await store.begin_upload("large", size=size, part_bytes=6_000_000)
        await upload.copy_part(1, "other bucket/a key", start=0, length=6_000_000)
        await upload.copy_part(2, "other bucket/a key", start=6_000_000, length=5_000_000)
        await upload.commit()
    asked = server.requests[1:3]
    assert [request.headers["x-amz-copy-source-range"] for request in asked] == [
        "bytes=0-5999999",
        "bytes=6000000-10999999",
    ]
    assert {request.headers["x-amz-copy-source"].lstrip("/") for request in asked} == {"other%20bucket/a%20key"}
    assert b"4waSgw==" in server.requests[3].body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<Error><Code>SlowDown</Code></Error>", TransientStoreError),
        (b"<Error><Code>InternalError</Code></Error>", TransientStoreError),
        (b"", StoreRefused),
    ],
)
async def test_a_success_with_an_error_inside_is_none(body: bytes, error: type[Exception], against: CannedS3) -> None:
    async with against(reply(body)) as (store, _):
        with pytest.raises((error, InvalidResponse)):
            await store.copy_from("x", "bucket/y")


async def test_a_copy_refused_for_the_region_of_the_other_bucket_moves_nothing(against: CannedS3) -> None:
    elsewhere = error("PermanentRedirect", 301, x_amz_bucket_region="eu-west-9")
    async with against(elsewhere, reply()) as (store, server):
        with pytest.raises(StoreRefused, match="eu-west-9"):
            await store.copy_from("x", "bucket/y")
        await store.write("x", DATA)
    assert [request.region for request in server.requests] == ["us-east-1", "us-east-1"]
