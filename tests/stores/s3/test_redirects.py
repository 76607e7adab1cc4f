"""A redirect is an error that names its target; nothing is sent there, signed or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from snapdir.errors import StoreRefused
from snapdir.stores.base import Store

from .canned_server import canned, error, reply
from .conftest import CannedS3

LISTED = """<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"""


async def listed(store: Store) -> None:
    async for _ in store.list(""):
        pass


CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "stat": lambda store: store.stat("key"),
    "read": lambda store: store.read("key"),
    "read_into": lambda store: store.read_into("key", memoryview(bytearray(9)), start=0),
    "write": lambda store: store.write("key", b"secret content"),
    "list": listed,
    "begin_upload": lambda store: store.begin_upload("key", size=6 << 20, part_bytes=5 << 20),
    "delete": lambda store: store.delete(["key"]),
    "copy": lambda store: store.copy_from("other/key", "key"),
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", CALLS)
async def test_nothing_is_sent_to_another_host(against: CannedS3, call: str, status: int) -> None:
    async with (
        canned(reply(LISTED)) as trap,
        against(reply(status=status, Location=f"{trap.url}/x?sig=1")) as (store, _),
    ):
        with pytest.raises(
            StoreRefused, match=rf"snapdir does not follow the redirect to {trap.url}/x: set the endpoint"
        ):
            await CALLS[call](store)
        assert trap.requests == []


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://host.example/bucket", "https://host.example/bucket"),
        ("https://user:canary@host.example/b?X-Amz-Signature=canary#canary", "https://host.example/b"),
        ("//host.example/b", "//host.example/b"),
        ("/sign-in?next=canary", "/sign-in"),
        ("http://[::1/canary@x?canary", "x"),
    ],
)
async def test_the_place_is_shown_without_what_may_be_secret(against: CannedS3, location: str, shown: str) -> None:
    async with against(reply(status=307, Location=location)) as (store, server):
        with pytest.raises(StoreRefused) as caught:
            await store.read("key")
        assert f"does not follow the redirect to {shown}" in str(caught.value)
        assert "canary" not in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(server.requests) == 1


async def test_a_redirect_to_another_region_signs_for_that_and_stays_at_the_endpoint(against: CannedS3) -> None:
    async with canned(reply(b"x")) as trap:
        away = error("TemporaryRedirect", 307, Location=f"{trap.url}/bucket", x_amz_bucket_region="eu-west-3")
        async with against(away, reply(b"abc")) as (store, server):
            assert await store.read("key") == b"abc"
        assert trap.requests == []
        scopes = [request.headers["authorization"].split("/")[2] for request in server.requests]
        assert scopes == ["us-east-1", "eu-west-3"]


@pytest.mark.parametrize("region", ["evil.example/", "evil.example", "a b", "-"])
async def test_what_is_no_region_is_not_followed(against: CannedS3, region: str) -> None:
    async with against(error("PermanentRedirect", 301, x_amz_bucket_region=region)) as (store, server):
        with pytest.raises(StoreRefused, match="PermanentRedirect"):
            await store.read("key")
        assert len(server.requests) == 1
