"""Commits of uploads in parts: lost responses are looked up, and an upload that may have succeeded is never aborted."""

from __future__ import annotations

import anyio
import pytest

from snapdir.errors import ConnectionFailed, StoreRefused, Throttled, TransientStoreError
from snapdir.hashing.crc32c import crc32c
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
from snapdir.stores.s3.checksums import encoded
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.upload import S3Upload
from snapdir.stores.settings import RetryPolicy
from tests.stores.s3.canned_server import XML, Answer, CannedServer, Exchange, cut, error, reply
from tests.stores.s3.conftest import CannedS3

PART = 4
DATA = b"some bytes"
PARTS = [DATA[start : start + PART] for start in range(0, len(DATA), PART)]
KEPT = f"{encoded(crc32c(b''.join(crc32c(part).to_bytes(4, 'big') for part in PARTS)))}-{len(PARTS)}"
ONE_BYTE_OFF = f"{encoded(1)}-{len(PARTS)}"

BEGUN = reply(f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
DONE = reply(f"{XML}<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
LISTED = reply(f"{XML}<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>")
GONE = error("NoSuchUpload", 404)
DENIED = error("AccessDenied", 403)
LOST = cut(b"")
THERE = reply(length=len(DATA))
ABSENT = reply(status=404)
LATE = error("GatewayTimeout", 504)


async def begun(store: S3Store) -> S3Upload:
    upload = await store.begin_upload("key", size=len(DATA), part_bytes=PART)
    for number, part in enumerate(PARTS, 1):
        await upload.write_part(number, part)
    return upload


SENT = [BEGUN, *[reply(ETag=f"e{number}") for number in range(len(PARTS))]]


def asked(server: CannedServer) -> list[str]:
    """The requests after those for the parts."""
    return [request.method for request in server.requests[len(SENT) :]]


@pytest.mark.parametrize(
    "lost",
    [LOST, LATE, reply(""), reply(status=204, length=None), reply("<html><body>Bad gateway</body></html>")],
    ids=["cut off", "504", "empty", "204", "page"],
)
async def test_an_answer_that_got_lost_is_settled_by_what_is_there(against: CannedS3, lost: Answer) -> None:
    async with against(*SENT, lost, THERE, GONE) as (store, server):
        await (await begun(store)).commit()
        assert asked(server) == ["POST", "HEAD", "GET"]


@pytest.mark.parametrize(
    ("then", "methods"),
    [
        ([ABSENT], ["POST", "HEAD"]),
        ([reply(length=len(DATA) - 1)], ["POST", "HEAD"]),
        ([reply(length=len(DATA), x_amz_checksum_crc32c=ONE_BYTE_OFF)], ["POST", "HEAD"]),
        ([THERE, LISTED], ["POST", "HEAD", "GET"]),
        ([THERE, error("InternalError", 500)], ["POST", "HEAD", "GET"]),
        ([THERE, DENIED], ["POST", "HEAD", "GET"]),
        ([DENIED], ["POST", "HEAD"]),
    ],
    ids=[
        "absent",
        "other length",
        "other checksum",
        "upload is there",
        "unknown",
        "upload is not shown",
        "may not look",
    ],
)
async def test_what_does_not_show_the_object_settles_nothing(
    against: CannedS3, then: list[Answer], methods: list[str]
) -> None:
    async with against(*SENT, LOST, *then) as (store, server):
        upload = await begun(store)
        with pytest.raises(ConnectionFailed, match="lost before the response"):
            await upload.commit()
        assert asked(server) == methods


@pytest.mark.parametrize("kept", [KEPT, "", encoded(7)], ids=["of the parts", "none", "of the whole"])
async def test_a_checksum_that_says_nothing_else_is_fine(against: CannedS3, kept: str) -> None:
    async with against(*SENT, LOST, reply(length=len(DATA), x_amz_checksum_crc32c=kept), GONE) as (store, server):
        await (await begun(store)).commit()
        assert server.requests[-2].headers["x-amz-checksum-mode"] == "ENABLED"


async def test_the_next_try_meets_what_the_first_has_done(against: CannedS3) -> None:
    """The service was still completing the upload when the connection broke; the second commit came too late."""
    async with against(*SENT, LOST, ABSENT, GONE, THERE) as (store, server):
        retrying = RemoteStore(store, Retries(RetryPolicy(attempts=2, base_seconds=0.0)))
        upload = await retrying.begin_upload("key", size=len(DATA), part_bytes=PART)
        for number, part in enumerate(PARTS, 1):
            await upload.write_part(number, part)
        await upload.commit()
        assert asked(server) == ["POST", "HEAD", "POST", "HEAD"]


async def test_where_uploads_are_not_shown_the_next_try_settles_it(against: CannedS3) -> None:
    """The object there may be a damaged one of the same length, which this push was to repair."""
    failed = error("InternalError", 500)
    async with against(*SENT, failed, THERE, DENIED, DONE) as (store, server):
        retrying = RemoteStore(store, Retries(RetryPolicy(attempts=2, base_seconds=0.0)))
        upload = await retrying.begin_upload("key", size=len(DATA), part_bytes=PART)
        for number, part in enumerate(PARTS, 1):
            await upload.write_part(number, part)
        await upload.commit()
        assert asked(server) == ["POST", "HEAD", "GET", "POST"]


async def test_an_upload_that_is_gone_on_with_may_be_an_object_by_now(against: CannedS3) -> None:
    part = "<Part><PartNumber>{0}</PartNumber><ETag>e{0}</ETag><Size>{1}</Size></Part>"
    stored = "".join(part.format(number, len(part_)) for number, part_ in enumerate(PARTS, 1))
    listed = reply(f"{XML}<ListPartsResult><IsTruncated>false</IsTruncated>{stored}</ListPartsResult>")
    async with against(listed, GONE, THERE) as (store, server):
        upload = await store.begin_upload("key", size=len(DATA), part_bytes=PART, resume="1")
        for number, data in enumerate(PARTS, 1):
            await upload.write_part(number, data)
        await upload.commit()
        assert [request.method for request in server.requests] == ["GET", "POST", "HEAD"]


async def test_an_upload_that_was_never_committed_is_not_taken_for_an_object_that_is_there(against: CannedS3) -> None:
    async with against(*SENT, GONE, THERE) as (store, server):
        upload = await begun(store)
        with pytest.raises(StoreRefused, match="NoSuchUpload"):
            await upload.commit()
        assert asked(server) == ["POST"]
        server.play(reply(status=204))


@pytest.mark.parametrize("ends", ["abort", "close"])
@pytest.mark.parametrize("answer", [LOST, LATE, reply("")], ids=["cut off", "504", "empty"])
async def test_what_may_be_an_object_is_not_aborted(against: CannedS3, answer: Answer, ends: str) -> None:
    async with against(*SENT, answer, ABSENT) as (store, server):
        upload = await begun(store)
        with pytest.raises(TransientStoreError):
            await upload.commit()
        await (upload.abort() if ends == "abort" else store.aclose())
        assert "DELETE" not in asked(server)


async def test_nor_is_one_whose_commit_was_cancelled(against: CannedS3) -> None:
    async def hold(exchange: Exchange) -> bool:
        scope.cancel()
        await exchange.reader.read()
        return False

    async with against(*SENT, hold) as (store, server):
        upload = await begun(store)
        with anyio.CancelScope() as scope:
            await upload.commit()
        assert scope.cancelled_caught
        await upload.abort()
        await store.aclose()
        assert asked(server) == ["POST"]


@pytest.mark.parametrize(
    ("answer", "kind"), [(error("InvalidPart", 400), StoreRefused), (error("SlowDown", 503), Throttled)]
)
async def test_a_commit_that_was_answered_with_no_can_be_aborted(
    against: CannedS3, answer: Answer, kind: type[Exception]
) -> None:
    async with against(*SENT, answer, reply(status=204)) as (store, server):
        upload = await begun(store)
        with pytest.raises(kind):
            await upload.commit()
        await upload.abort()
        assert asked(server) == ["POST", "DELETE"]


async def test_a_no_to_the_second_try_says_nothing_of_the_first(against: CannedS3) -> None:
    async with against(*SENT, LOST, ABSENT, error("InvalidPart", 400)) as (store, server):
        upload = await begun(store)
        for kind in (ConnectionFailed, StoreRefused):
            with pytest.raises(kind):
                await upload.commit()
        await upload.abort()
        assert asked(server) == ["POST", "HEAD", "POST"]


async def test_an_answer_that_is_one_asks_for_nothing_more(against: CannedS3) -> None:
    async with against(*SENT, DONE) as (store, server):
        await (await begun(store)).commit()
        assert asked(server) == ["POST"]


async def test_an_upload_that_is_not_aborted_when_its_store_is_closed_is_a_warning(
    against: CannedS3, caplog: pytest.LogCaptureFixture
) -> None:
    async with against(*SENT, DENIED) as (store, _):
        await begun(store)
        await store.aclose()
    assert "upload 1 was not aborted: " in caplog.text
    assert "its parts stay until a lifecycle rule removes them" in caplog.text
