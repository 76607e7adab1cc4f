"""Received bytes are compared with the hash by the service if it is known to do so, else by snapdir."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest

from snapdir.errors import (
    AccessDenied,
    InFluxError,
    InvalidResponse,
    StoreMissing,
    StoreRefused,
    TransientStoreError,
)
from snapdir.stores.base import FileRange
from snapdir.stores.s3.checksums import Checksums
from tests.stores.s3.canned_server import error, reply
from tests.stores.s3.conftest import CannedS3
from tests.stores.s3.test_requests import CRC_HEADER, CRC_OF_DIGITS, CREATED, a_file

# A file is summed here until the service has shown that it does so


@pytest.mark.parametrize("carried", [{}, {CRC_HEADER: "nonsense"}, {CRC_HEADER: CRC_OF_DIGITS}])
async def test_a_file_that_changed_is_sent_whole_only_to_a_service_that_compares(
    against: CannedS3, tmp_path: Path, carried: dict[str, str]
) -> None:
    """A service that compares returns the checksum it received."""
    is_compared = carried == {CRC_HEADER: CRC_OF_DIGITS}
    with a_file(tmp_path / "changing", b"987654321") as fd:
        async with against(reply(**carried), error("BadDigest", 400)) as (store, server):
            await store.write("first", b"123456789")
            with pytest.raises(InFluxError, match="changing"):
                await store.write("second", FileRange(fd, 0, 9, crc32c=0xE3069283))
        whole = [request for request in server.requests[1:] if request.body == b"987654321"]
    assert len(whole) == is_compared


async def test_a_part_that_changed_is_sent_whole_only_to_a_service_that_compares(
    against: CannedS3, tmp_path: Path
) -> None:
    confirmed = reply(**{CRC_HEADER: CRC_OF_DIGITS})
    with a_file(tmp_path / "changing", b"123456789987654321") as fd:
        parts = [FileRange(fd, offset, 9, crc32c=0xE3069283) for offset in (0, 9)]
        for answers, sent in (((CREATED, reply()), 1), ((CREATED, confirmed, error("BadDigest", 400), reply()), 2)):
            async with against(*answers) as (store, server):
                upload = await store.begin_upload("key", size=18, part_bytes=9)
                await upload.write_part(1, parts[0])
                with pytest.raises(InFluxError, match="changing"):
                    await upload.write_part(2, parts[1])
                await upload.abort()
                bodies = [request.body for request in server.requests if request.method == "PUT" and request.body]
            assert len(bodies) == sent


async def test_a_service_that_says_that_other_bytes_arrived_is_believed(against: CannedS3) -> None:
    async with against(reply(**{CRC_HEADER: "AAAAAA=="}), reply()) as (store, _):
        with pytest.raises(TransientStoreError, match="bytes that differ from those hashed"):
            await store.write("key", b"123456789")


OTHER_REFUSALS = {
    "denied": (error("AccessDenied", 403), AccessDenied),
    "no bucket": (error("NoSuchBucket", 404), StoreMissing),
    "too large": (error("EntityTooLarge", 400), StoreRefused),
    "bad digest": (error("BadDigest", 400), TransientStoreError),
    "failing": (error("InternalError", 500), TransientStoreError),
    "unavailable": (error("ServiceUnavailable", 503), TransientStoreError),
    "without a word": (reply(status=400), StoreRefused),
    "not S3": (reply("<html>", status=404), InvalidResponse),
}


@pytest.mark.parametrize("refusal", OTHER_REFUSALS)
async def test_only_a_header_that_is_not_known_switches_checksums_off(
    against: CannedS3, tmp_path: Path, refusal: str
) -> None:
    """A failure for another reason is not repeated without the checksum: it would teach nothing."""
    answer, kind = OTHER_REFUSALS[refusal]
    async with against(answer, reply()) as (store, server):
        store._client.checksums = await anyio.to_thread.run_sync(Checksums, tmp_path, "the endpoint")
        with pytest.raises(kind):
            await store.write("key", b"123456789")
        assert len(server.requests) == 1
        await store.write("key", b"123456789")
    assert [CRC_HEADER in request.headers for request in server.requests] == [True, True]
    assert (await anyio.to_thread.run_sync(Checksums, tmp_path, "the endpoint")).accepted


@pytest.mark.parametrize("refusal", OTHER_REFUSALS)
async def test_an_upload_that_fails_for_another_reason_leaves_checksums_on(against: CannedS3, refusal: str) -> None:
    answer, kind = OTHER_REFUSALS[refusal]
    async with against(answer, CREATED) as (store, server):
        with pytest.raises(kind):
            await store.begin_upload("key", size=9, part_bytes=9)
        await store.begin_upload("key", size=9, part_bytes=9)
        offered = ["x-amz-checksum-algorithm" in request.headers for request in server.requests]
    assert offered == [True, True]


@pytest.mark.parametrize(
    ("header", "found"), [({CRC_HEADER: CRC_OF_DIGITS}, 0xE3069283), ({CRC_HEADER: "4waSgw==-2"}, None), ({}, None)]
)
async def test_the_checksum_that_a_service_keeps_of_a_manifest_is_asked_for(
    against: CannedS3, header: dict[str, str], found: int | None
) -> None:
    async with against(reply(b"123456789", **header)) as (store, server):
        assert (await store.stat(".manifests/5f3")).crc32c == found
        assert (await store.stat(".objects/49d")).size == 9
    assert ["x-amz-checksum-mode" in request.headers for request in server.requests] == [True, False]


async def test_a_service_that_knows_no_checksums_is_not_asked_for_one(against: CannedS3) -> None:
    async with against(reply(b"123456789")) as (store, server):
        store._client.checksums.accepted = False
        await store.stat(".manifests/5f3")
    assert "x-amz-checksum-mode" not in server.requests[0].headers
