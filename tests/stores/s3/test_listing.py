"""Listings of services that keep no order, repeat themselves, or never end: no key is lost, and every listing ends."""

from __future__ import annotations

import pytest

from snapdir.errors import InvalidResponse
from snapdir.stores.base import ObjectInfo
from snapdir.stores.listing import TELLING_KEYS
from snapdir.stores.s3.listing import MAX_IDLE_PAGES, ListingProgress
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.target import S3Target
from snapdir.stores.s3.xml import ListPage
from tests.stores.s3.canned_server import XML, Answer, Exchange, Request, reply
from tests.stores.s3.conftest import CannedS3


def page(*names: str, token: str = "", own: str = "prefix/") -> str:
    contents = "".join(f"<Contents><Key>{own}{name}</Key><Size>1</Size></Contents>" for name in names)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    end = f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}"
    return f"{XML}<ListBucketResult>{contents}{end}</ListBucketResult>"


def pages(count: int, *names: str) -> list[Answer]:
    """Pages that go on and on, each with a token of its own."""
    return [reply(page(*names, token=f"token-{number}")) for number in range(count)]


async def listed(store: S3Store, prefix: str = "", **options: str) -> list[str]:
    return [info.key async for one in store.list(prefix, **options) for info in one]


async def test_keys_behind_the_last_one_are_not_dropped(against: CannedS3) -> None:
    answers = [page("d", "b", token="one"), page("c", "a", token="two"), page("e")]
    async with against(*map(reply, answers)) as (store, _):
        assert await listed(store) == ["d", "b", "c", "a", "e"]


async def test_pages_that_overlap_show_each_key_once(against: CannedS3) -> None:
    answers = [page("d", "b", token="one"), page("b", "d", "c", token="two"), page("c", "a")]
    async with against(*map(reply, answers)) as (store, _):
        assert await listed(store) == ["d", "b", "c", "a"]


async def test_a_listing_goes_on_behind_a_page(against: CannedS3) -> None:
    async with against(reply(page("d", token="one")), reply(page("a"))) as (store, server):
        first = await anext(store.list(""))
        assert first.resume == "one"
        assert [info.key async for one in store.list("", resume=first.resume) for info in one] == ["a"]
    assert [len(server.requests), "continuation-token=one" in server.requests[-1].target] == [2, True]


@pytest.mark.parametrize("names", [(), ("a",)])
async def test_new_tokens_without_new_keys_are_an_error(against: CannedS3, names: tuple[str, ...]) -> None:
    async with against(*pages(MAX_IDLE_PAGES + 2, *names)) as (store, server):
        with pytest.raises(InvalidResponse, match="no new key"):
            await listed(store)
    assert len(server.requests) <= MAX_IDLE_PAGES + 1


async def test_empty_pages_in_between_are_no_end(against: CannedS3) -> None:
    answers = [*pages(MAX_IDLE_PAGES - 1), reply(page("b", token="more")), reply(page("a"))]
    async with against(*answers) as (store, _):
        assert await listed(store) == ["b", "a"]


async def test_a_key_that_was_not_asked_for_is_no_listing(against: CannedS3) -> None:
    async with against(reply(page("manifests/1", "objects/1"))) as (store, _):
        with pytest.raises(InvalidResponse):
            await listed(store, "manifests/")


async def test_a_service_is_not_asked_to_begin_in_between_unless_it_keeps_the_order(against: CannedS3) -> None:
    async with against(reply(page("c", "z", token="one")), reply(page("d", "a", "b"))) as (store, server):
        assert await listed(store, start_after="b") == ["c", "z", "d"]
    assert not [one for one in server.requests if "start-after" in one.target]


async def test_one_that_shows_that_it_keeps_the_order_is_asked_to_begin_there(against: CannedS3) -> None:
    names = [f"{number:04}" for number in range(TELLING_KEYS)]
    answers = [page(*names, token="one"), page("m", token="two"), page("n")]
    async with against(*map(reply, answers)) as (store, server):
        assert await listed(store, start_after="l") == ["m", "n"]
    assert ["start-after=prefix%2Fl" in one.target for one in server.requests] == [False, True, False]


def test_only_where_keys_are_promised_in_order_a_listing_begins_in_between_at_once() -> None:
    def target(bucket: str, endpoint: str | None) -> S3Target:
        return S3Target(f"s3://{bucket}", bucket, "", endpoint, "us-east-1")

    assert target("bucket", None).lists_in_order
    assert not target("bucket--use1-az4--x-s3", None).lists_in_order
    assert not target("bucket", "http://127.0.0.1:9000").lists_in_order


def test_a_new_key_sets_idle_pages_back() -> None:
    progress = ListingProgress("LIST")
    for number in range(3):
        for _ in range(MAX_IDLE_PAGES - 1):
            assert progress.new_of(ListPage((), None)) == []
        assert len(progress.new_of(ListPage((ObjectInfo(str(number), 1),), None))) == 1


async def test_parts_that_never_end_are_an_error(against: CannedS3) -> None:
    def parts(exchange: Exchange) -> bytes:
        number = len(seen)
        seen.append(exchange.request)
        part = "<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>5</Size></Part>" * 1000
        more = f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{number + 1}</NextPartNumberMarker>"
        marker = f"<PartNumberMarker>{number}</PartNumberMarker>"
        return f"{XML}<ListPartsResult><UploadId>1</UploadId>{marker}{more}{part}</ListPartsResult>".encode()

    async def play(exchange: Exchange) -> bool:
        return await reply(parts(exchange))(exchange)

    seen: list[Request] = []
    async with against(play) as (store, _):
        with pytest.raises(InvalidResponse, match="parts"):
            await store.begin_upload("a", size=10, part_bytes=5, resume="1")
    assert len(seen) == 11


async def test_an_upload_whose_parts_may_not_be_listed_is_begun_anew(against: CannedS3) -> None:
    begun = f"{XML}<InitiateMultipartUploadResult><UploadId>2</UploadId></InitiateMultipartUploadResult>"
    denied = f"{XML}<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    async with against(reply(denied, status=403), reply(begun), reply(status=204)) as (store, _):
        upload = await store.begin_upload("a", size=10, part_bytes=5, resume="1")
        assert upload.resume_token == "2"
        await upload.abort()
