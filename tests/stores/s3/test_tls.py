"""Certificates that a store trusts, and errors for those that it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from snapdir.errors import InvalidOption, StoreRefused
from snapdir.stores.open import open_store

from .playing_service import SETTINGS, ok
from .scripted_server import CERTIFICATE, answer, serve, server_tls


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    return monkeypatch


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
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "use http:// in the endpoint"),
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
