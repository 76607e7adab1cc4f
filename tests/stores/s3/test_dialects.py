"""Responses of services other than AWS: their content counts, not their headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from snapdir.errors import AccessDenied, InvalidResponse, ObjectNotFound, StoreRefused, TransientStoreError
from snapdir.stores.base import first_page
from snapdir.stores.s3.store import S3Store
from tests.stores.s3.canned_server import XML, Answer, error, reply
from tests.stores.s3.conftest import CannedS3
from tests.stores.s3.test_listing import listed, page

PART_BYTES = 5 << 20
BEGUN = f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
DONE = f"{XML}<CompleteMultipartUploadResult><Key>key</Key></CompleteMultipartUploadResult>"
PARTS = (
    f"{XML}<ListPartsResult><IsTruncated>False</IsTruncated>"
    "<Part><PartNumber>1</PartNumber><ETag>one</ETag><Size>4</Size></Part>"
    "<Part><PartNumber>2</PartNumber><Size>4</Size></Part></ListPartsResult>"
)
SIGN_IN = "<html><body>Please sign in</body></html>"


def plain(body: str = "", **more: str | int) -> Answer:
    """A success without any header of S3."""
    return reply(body, s3=False, **more)  # type: ignore[arg-type]


async def begin(store: S3Store) -> None:
    assert (await store.begin_upload("key", size=8, part_bytes=PART_BYTES)).resume_token == "1"


async def go_on(store: S3Store) -> None:
    upload = await store.begin_upload("key", size=8, part_bytes=4, resume="1")
    assert upload.held_bytes == 4, "a part without an ETag cannot be named in the end"
    upload.keep()


async def commit(store: S3Store) -> None:
    upload = await store.begin_upload("key", size=4, part_bytes=PART_BYTES)
    await upload.write_part(1, b"data")
    await upload.commit()


async def abort(store: S3Store) -> None:
    await (await store.begin_upload("key", size=4, part_bytes=PART_BYTES)).abort()


CALLS: dict[str, tuple[Callable[[S3Store], Awaitable[object]], list[tuple[str, dict[str, str | int]]]]] = {
    "begin": (begin, [(BEGUN, {})]),
    "go on": (go_on, [(PARTS, {})]),
    "commit": (commit, [(BEGUN, {}), ("", {"ETag": "e"}), (DONE, {})]),
    "abort": (abort, [(BEGUN, {}), ("", {"status": 200})]),
    "abort, accepted": (abort, [(BEGUN, {}), ("", {"status": 202})]),
    "write": (lambda store: store.write("key", b"data"), [("", {"ETag": "e"})]),
    "write, request id": (lambda store: store.write("key", b"data"), [("", {"x_amzn_requestid": "R"})]),
    "delete": (lambda store: store.delete(["key"]), [("", {"status": 200})]),
    "delete many": (lambda store: store.delete(["a", "b"]), [(f"{XML}<DeleteResult/>", {})]),
    "delete many, no body": (lambda store: store.delete(["a", "b"]), [("", {"status": 204})]),
}


@pytest.mark.parametrize("space", ["", " \r\n\t "], ids=["plain", "white space"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_success_needs_no_header_of_aws(against: CannedS3, call: str, space: str) -> None:
    do, answers = CALLS[call]
    async with against(*(plain(space + body if body else "", **more) for body, more in answers)) as (store, server):
        await do(store)
        server.play(plain(status=204))


@pytest.mark.parametrize("call", ["begin", "go on", "commit", "write", "delete", "delete many"])
async def test_a_page_of_something_in_between_is_no_success(against: CannedS3, call: str) -> None:
    do, answers = CALLS[call]
    steps = [plain(body, **more) for body, more in answers[:-1]]
    async with against(*steps, plain(SIGN_IN)) as (store, server):
        with pytest.raises(InvalidResponse):
            await do(store)
        server.play(plain(status=204))


async def test_a_write_without_a_sign_of_s3_is_no_success(against: CannedS3) -> None:
    async with against(plain()) as (store, _):
        with pytest.raises(InvalidResponse, match="ETag"):
            await store.write("key", b"data")


NO_LENGTH = plain(length=None, Transfer_Encoding="chunked")


@pytest.mark.parametrize("head", [NO_LENGTH, plain(), plain(status=204, length=None)], ids=["length", "sign", "204"])
@pytest.mark.parametrize(
    ("answer", "size"),
    [
        (plain("x", status=206, Content_Range="bytes 0-0/70"), 70),
        (reply("x" * 70), 70),
        (reply("", status=200), 0),
        (error("InvalidRange", 416), 0),
        (plain(status=416, Content_Range="bytes */0"), 0),
    ],
    ids=["range", "whole", "empty", "no range", "no range, no body"],
)
async def test_the_length_that_head_leaves_out_is_that_of_a_range(
    against: CannedS3, head: Answer, answer: Answer, size: int
) -> None:
    async with against(head, answer) as (store, server):
        assert (await store.stat("key")).size == size
    assert [request.method for request in server.requests] == ["HEAD", "GET"]
    assert server.requests[1].headers["range"] == "bytes=0-0"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (plain("x", status=206, Content_Range="bytes 0-0/*"), InvalidResponse),
        (plain("x", status=206, Content_Range="bytes 5-5/70"), InvalidResponse),
        (plain("xx", status=206, Content_Range="bytes 0-1/70"), InvalidResponse),
        (plain(SIGN_IN), InvalidResponse),
        (reply("x" * 70, length=None), InvalidResponse),
        (error("NoSuchKey", 404), ObjectNotFound),
        (error("AccessDenied", 403), AccessDenied),
        (error("InternalError", 500), TransientStoreError),
    ],
    ids=["unknown", "another", "longer", "page", "endless", "absent", "denied", "fails"],
)
async def test_where_nothing_says_the_length_that_is_an_error(
    against: CannedS3, answer: Answer, kind: type[Exception]
) -> None:
    async with against(NO_LENGTH, answer) as (store, _):
        with pytest.raises(kind):
            await store.stat("key")


async def test_one_range_is_believed_without_a_header_of_s3(against: CannedS3) -> None:
    async with against(plain("abc", status=206, Content_Range="bytes 1-3/9")) as (store, server):
        assert await store.read("key", start=1, length=3) == b"abc"
        server.play(plain("abc", Content_Range="bytes 1-3/9"))
        assert await store.read("key", start=1, length=3) == b"abc"


async def test_a_failure_names_the_request_id_of_any_service(against: CannedS3) -> None:
    denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    async with against(plain(f"\n{denied}", status=403, x_amzn_requestid="REQ-7")) as (store, _):
        with pytest.raises(AccessDenied, match="REQ-7"):
            await store.write("key", b"data")


@pytest.mark.parametrize("marker", ["", "<Marker></Marker>", "<Marker/><NextMarker>prefix/a</NextMarker>"])
@pytest.mark.parametrize("listing", [listed, lambda store: first_page(store, "")])
async def test_more_pages_of_a_listing_in_version_1_are_refused_at_once(
    against: CannedS3, marker: str, listing: Callable[[S3Store], Awaitable[object]]
) -> None:
    body = page("a", token="x").replace("<NextContinuationToken>x</NextContinuationToken>", marker)
    async with against(plain(body)) as (store, server):
        with pytest.raises(StoreRefused, match="list-type=2"):
            await listing(store)
    assert len(server.requests) == 1


async def test_one_page_of_version_1_is_a_whole_listing(against: CannedS3) -> None:
    body = page("a", "b").replace("<IsTruncated>false", "<Marker/><IsTruncated>False")
    async with against(plain(body)) as (store, _):
        assert await listed(store) == ["a", "b"]
        assert await listed(store, start_after="a") == ["b"]


async def test_a_truncated_page_without_a_token_is_an_error(against: CannedS3) -> None:
    body = page("a", token="x").replace("<NextContinuationToken>x</NextContinuationToken>", "<KeyCount>1</KeyCount>")
    async with against(plain(body)) as (store, _):
        with pytest.raises(InvalidResponse, match="NextContinuationToken"):
            await listed(store)
