"""An upload begun by an earlier run: parts that the service holds cost no request and no time."""

from __future__ import annotations

import pytest

from snapdir.errors import InvalidResponse
from snapdir.stores.rate import AdaptiveRate, RateLimit
from snapdir.stores.remote import RemoteStore
from tests.stores.s3.canned_server import XML, Answer, reply
from tests.stores.s3.conftest import CannedS3
from tests.stores.virtual_time import ManualClock

PART = 100
SIZE = 4 * PART + 1


def holding(*parts: tuple[int, int]) -> Answer:
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>e{number}</ETag><Size>{size}</Size></Part>"
        for number, size in parts
    )
    end = "<IsTruncated>false</IsTruncated>"
    return reply(f"{XML}<ListPartsResult><UploadId>1</UploadId>{end}{listed}</ListPartsResult>")


async def test_parts_that_the_service_holds_do_not_count_against_a_limit(against: CannedS3) -> None:
    clock = ManualClock()

    async with against(holding((1, PART), (2, PART), (3, PART)), reply(ETag="e")) as (inner, server):
        store = RemoteStore(
            inner,
            rate=AdaptiveRate(1 / 1000, clock=clock, sleep=clock.sleep),
            byte_rate=RateLimit(PART / 100, clock=clock, sleep=clock.sleep),
        )
        upload = await store.begin_upload("key", size=SIZE, part_bytes=PART, resume="1")
        charged = clock()
        for number in (1, 2, 3):
            await upload.write_part(number, bytes(PART))
        assert clock() == charged  # no token was taken, so the next request does not wait for one
        assert len(server.requests) == 1
        await upload.write_part(4, bytes(PART))
        assert (clock() > charged, len(server.requests)) == (True, 2)
        upload.keep()


async def test_the_bytes_that_the_service_holds_are_known_from_its_list(against: CannedS3) -> None:
    listed = holding((1, PART), (2, PART - 1), (5, 1), (6, PART))
    async with against(listed, reply(ETag="e")) as (inner, server):
        store = RemoteStore(inner)
        upload = await store.begin_upload("key", size=SIZE, part_bytes=PART, resume="1")
        assert upload.held_bytes == PART + 1  # parts that do not fit are sent again
        assert await upload.adopt_part(1, bytes(PART))
        assert not await upload.adopt_part(2, bytes(PART))
        assert not await upload.adopt_part(3, bytes(PART))
        assert (upload.held_bytes, len(server.requests)) == (PART + 1, 1)
        await upload.write_part(2, bytes(PART))
        assert upload.held_bytes == 2 * PART + 1
        upload.keep()


async def test_a_part_of_which_the_service_knows_another_checksum_is_not_taken_over(against: CannedS3) -> None:
    checksum = "<ChecksumCRC32C>AAAAAQ==</ChecksumCRC32C>"
    part = f"<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>{PART}</Size>{checksum}</Part>"
    listed = f"{XML}<ListPartsResult><UploadId>1</UploadId><IsTruncated>false</IsTruncated>{part}</ListPartsResult>"
    async with against(reply(listed), reply(ETag="e")) as (store, server):
        upload = await store.begin_upload("key", size=SIZE, part_bytes=PART, resume="1")
        assert upload.held_bytes == PART
        assert not await upload.adopt_part(1, bytes(PART))
        assert upload.held_bytes == 0
        await upload.write_part(1, bytes(PART))
        assert (upload.held_bytes, len(server.requests)) == (PART, 2)
        upload.keep()


@pytest.mark.parametrize("markers", [("2", "1"), ("2", "2"), ("0",), ("x",), ("-1",), ("9" * 5000,)])
async def test_a_list_of_parts_that_goes_back_is_left_at_once(against: CannedS3, markers: tuple[str, ...]) -> None:
    pages = [
        reply(
            f"{XML}<ListPartsResult><IsTruncated>true</IsTruncated>"
            f"<NextPartNumberMarker>{marker}</NextPartNumberMarker></ListPartsResult>"
        )
        for marker in markers
    ]
    async with against(*pages) as (store, server):
        with pytest.raises(InvalidResponse, match="does not advance"):
            await store.begin_upload("key", size=SIZE, part_bytes=PART, resume="1")
        assert len(server.requests) == len(markers)
