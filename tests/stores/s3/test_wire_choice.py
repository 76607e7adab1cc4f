"""Which transport a store gets, what TLS it trusts, and the contract over our own connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from snapdir.errors import InvalidOption, StoreRefused
from snapdir.stores.base import Store
from snapdir.stores.bucket_options import BucketOptions
from snapdir.stores.open import open_store
from snapdir.stores.retrying import RetryingStore
from snapdir.stores.s3.aws.boto_transport import BotoTransport
from snapdir.stores.s3.choice import choose_transport, why_not_wire
from snapdir.stores.s3.location import S3Target
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.transport import Transport
from snapdir.stores.s3.wire_transport import WireTransport
from snapdir.stores.settings import RetryPolicy
from snapdir.stores.urls import StoreURL
from snapdir.testing.back_doors import KEY
from snapdir.testing.contract import StoreContract
from tests.rclone_server import RcloneServer

from .scripted_server import CERTIFICATE, answer, serve, server_tls
from .wire_service import SETTINGS, ok

ENDPOINT = "http://127.0.0.1:9"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", ENDPOINT)
    return monkeypatch


async def chosen(url: str = "s3://bucket") -> type[Transport]:
    transport, _ = await choose_transport(S3Target.of(StoreURL.parse(url)), SETTINGS)
    await transport.aclose()
    return type(transport)


async def test_keys_and_an_endpoint_are_enough_for_our_own_connections(keys: pytest.MonkeyPatch) -> None:
    assert await chosen() is WireTransport


async def test_a_profile_gives_our_own_connections_its_keys(keys: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        keys.delenv(name)
    config = tmp_path / "config"
    config.write_text("[profile team]\naws_access_key_id = A\naws_secret_access_key = B\nregion = eu-west-1\n")
    keys.setenv("AWS_CONFIG_FILE", str(config))
    keys.setenv("AWS_PROFILE", "team")
    transport, target = await choose_transport(S3Target.of(StoreURL.parse("s3://bucket")), SETTINGS)
    await transport.aclose()
    assert isinstance(transport, WireTransport)
    assert target.region == "eu-west-1"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
async def test_a_proxy_takes_aiobotocore(keys: pytest.MonkeyPatch, name: str) -> None:
    if name == "HTTP_PROXY":
        keys.delenv("REQUEST_METHOD", raising=False)
    keys.setenv(name, "http://127.0.0.1:3128")
    assert await chosen() is BotoTransport


async def test_a_proxy_for_the_other_scheme_or_for_others_changes_nothing(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert await chosen() is WireTransport
    keys.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    keys.setenv("NO_PROXY", "127.0.0.1")
    assert await chosen() is WireTransport


def test_directory_buckets_are_signed_in_a_way_of_their_own_and_take_aiobotocore() -> None:
    buckets = ("logs--use1-az4--x-s3", "bucket")
    reasons = [why_not_wire(S3Target(f"s3://{bucket}", bucket, "", None, "us-east-1")) for bucket in buckets]
    assert [reason is None for reason in reasons] == [False, True]


async def test_aiobotocore_can_be_asked_for(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("SNAPDIR_S3_TRANSPORT", "aiobotocore")
    assert await chosen() is BotoTransport


async def test_options_that_aiobotocore_is_not_given_are_refused(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    target = S3Target.of(StoreURL.parse("s3://bucket"))
    for options in (BucketOptions(acl="private"), BucketOptions(request_payer="requester", sign=False)):
        with pytest.raises(InvalidOption, match=r"leave out --sse, .* requests go through a proxy"):
            await choose_transport(target._replace(options=options), SETTINGS)
    transport, _ = await choose_transport(target._replace(options=BucketOptions(sign=False)), SETTINGS)
    await transport.aclose()


# TLS


async def test_a_certificate_that_nobody_vouches_for_is_a_final_error(keys: pytest.MonkeyPatch) -> None:
    async with serve(tls=server_tls()) as server:
        keys.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", f"https://localhost:{server.port}")
        async with open_store("s3://bucket", SETTINGS) as store:
            with pytest.raises(StoreRefused, match=r"self-signed certificate.*AWS_CA_BUNDLE") as caught:
                await store.read("key")
        assert "canary-secret" not in str(caught.value)
        assert server.peers == []


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "write http:// in the endpoint"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "check the endpoint and any proxy"),  # an alert: the handshake failed
    ],
    ids=["plain", "alert"],
)
async def test_a_handshake_that_fails_is_a_final_error_with_its_way_out(
    keys: pytest.MonkeyPatch, answer: bytes, advice: str
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)  # all of it: closing with bytes unread would reset the connection
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        keys.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", f"https://127.0.0.1:{port}")
        async with open_store("s3://bucket", SETTINGS) as store:
            with pytest.raises(StoreRefused, match=f"TLS with .* failed.*{advice}"):
                await store.read("key")


async def test_a_certificate_that_the_bundle_vouches_for_is_trusted(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    async with serve(answer(ok(b"abc")), tls=server_tls()) as server:
        keys.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", f"https://localhost:{server.port}")
        async with open_store("s3://bucket", SETTINGS) as store:
            assert await store.read("key") == b"abc"


async def test_a_certificate_of_another_host_is_a_final_error(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    async with serve(host="127.0.0.2", tls=server_tls()) as server:
        keys.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", f"https://127.0.0.2:{server.port}")
        async with open_store("s3://bucket", SETTINGS) as store:
            with pytest.raises(StoreRefused, match="mismatch"):
                await store.read("key")


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_a_bundle_that_cannot_be_read_is_a_bad_option(
    keys: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    keys.setenv("AWS_CA_BUNDLE", str(bundle))
    keys.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", "https://localhost:9")
    async with open_store("s3://bucket", SETTINGS) as store:
        with pytest.raises(InvalidOption, match="AWS_CA_BUNDLE"):
            await store.read("key")


# The contract


@pytest.fixture(scope="module")
def part_keeping_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    folder = tmp_path_factory.mktemp("served-to-the-wire")
    with RcloneServer(folder, arguments=("--disable-multipart-streaming",)) as server:
        yield server


class TestS3StoreOnOurOwnConnections(StoreContract):
    prefix = ""
    bucket_folder: Path

    @pytest.fixture
    async def store(
        self, part_keeping_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Store]:
        for name, value in part_keeping_server.environment.items():
            monkeypatch.setenv(name, value)
        bucket = tmp_path.name.replace("_", "-")
        self.bucket_folder = await anyio.to_thread.run_sync(part_keeping_server.make_bucket, bucket)
        opened: Any = await S3Store.open(StoreURL.parse(f"s3://{bucket}{self.prefix}"), SETTINGS)
        assert isinstance(opened._transport, WireTransport)
        yield RetryingStore(opened, RetryPolicy())  # rclone answers 500 now and then while it is busy
        await opened.aclose()

    def put_behind(self, key: str, data: bytes) -> None:
        file = self.file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def get_behind(self, key: str) -> bytes | None:
        file = self.file(key)
        with suppress(FileNotFoundError):  # also where the server replaces it at this moment
            return file.read_bytes()
        return None

    def file(self, key: str) -> Path:
        return self.bucket_folder / self.prefix.removeprefix("/") / key

    async def test_a_key_never_shows_partial_bytes(self, store: Store) -> None:
        """rclone takes the old object away before it puts the new one there: at times there is neither, never half."""
        old, new = b"old" * 100_000, b"new" * 1_000_000
        self.put_behind(KEY, old)
        seen = set()
        async with anyio.create_task_group() as group:
            group.start_soon(store.write, KEY, new)
            while (found := self.get_or_nothing(KEY)) != new:
                seen.add(found)
                await checkpoint()
        assert seen <= {old, new, None}

    def get_or_nothing(self, key: str) -> bytes | None:
        try:
            return self.get_behind(key)
        except FileNotFoundError:  # between the look and the reading
            return None


class TestS3StoreOnOurOwnConnectionsUnderAPrefix(TestS3StoreOnOurOwnConnections):
    prefix = "/datasets/of the team"
