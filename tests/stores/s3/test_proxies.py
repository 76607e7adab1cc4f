"""Requests through a proxy and past it, and proxies that cannot be used."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.api.pull import pull
from snapdir.api.push import push
from snapdir.config import Config
from snapdir.errors import AccessDenied, ConnectionFailed, InvalidOption, StoreRefused, TransientStoreError
from snapdir.stores.open import open_store
from snapdir.testing.back_doors import Collecting
from tests.rclone_server import RcloneServer

from .canned_server import canned, cut, reply
from .conftest import CREDENTIALS, QUICK, opened
from .proxies import relay, tinyproxy
from .scripted_server import CERTIFICATE, Peer, serve, server_tls

EITHER_LOOP = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": use_uvloop}) for use_uvloop in (True, False)],
    ids=["uvloop", "asyncio"],
)
TREE = {"small": b"some bytes", "folder/empty": b"", "large": os.urandom(20 << 20)}


@pytest.fixture(autouse=True)
def not_in_cgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a CGI program, a request header can set HTTP_PROXY: it is ignored."""
    monkeypatch.delenv("REQUEST_METHOD", raising=False)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


# A real proxy, and a real server behind TLS


@pytest.fixture(scope="module")
def encrypted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    arguments = ("--cert", str(CERTIFICATE), "--key", str(CERTIFICATE))
    with RcloneServer(tmp_path_factory.mktemp("served-by-tls"), arguments=arguments) as server:
        yield server


@pytest.fixture
def tls_server(encrypted_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> RcloneServer:
    for name, value in encrypted_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    return encrypted_server


def planted(folder: Path) -> Path:
    for name, data in TREE.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


async def push_and_pull(folder: Path, url: str) -> None:
    tree, config = planted(folder / "tree"), Config(cache_dir=folder / "cache")
    identifier = await push(tree, url, config=config)
    await pull(identifier, url, folder / "copy", config=Config(cache_dir=folder / "other cache"))
    assert {name: (folder / "copy" / name).read_bytes() for name in TREE} == TREE


@EITHER_LOOP
async def test_a_push_and_a_pull_through_a_real_proxy(
    tls_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tinyproxy(tmp_path, "BasicAuth user pass-word") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:pass%2Dword@"))
        await push_and_pull(tmp_path, "s3://bucket/through")
        assert set(proxy.requests) == {f"CONNECT {tls_server.endpoint.removeprefix('https://')}"}


async def test_a_push_and_a_pull_past_it(
    tls_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tinyproxy(tmp_path) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        await push_and_pull(tmp_path, "s3://bucket/past")
        assert proxy.requests == []


async def test_plain_requests_are_passed_on_by_a_real_proxy(
    server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian configures it, it opens no tunnel to such a port."""
    with tinyproxy(tmp_path, "ConnectPort 443") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await push_and_pull(tmp_path, "s3://bucket/plain")
        assert any(request.startswith(f"PUT {server.endpoint}/bucket/plain/") for request in proxy.requests)
        assert not any(request.startswith("CONNECT") for request in proxy.requests)


@pytest.mark.parametrize("user", ["", "user:canary@"], ids=["none", "others"])
async def test_a_real_proxy_that_wants_credentials_is_asked_once(
    tls_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    with tinyproxy(tmp_path, "BasicAuth user password") as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("//", f"//{user}"))
        for endpoint in (tls_server.endpoint, "http://127.0.0.1:1"):
            monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", endpoint)
            async with open_store("s3://bucket", QUICK) as store:
                with pytest.raises(
                    AccessDenied, match=rf"through the proxy {proxy.url}.* the proxy requires"
                ) as raised:
                    await store.read("key")
            assert "canary" not in str(raised.value)
        assert len(proxy.requests) <= 2


async def test_a_real_proxy_that_opens_no_tunnel_to_the_port(
    tls_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tinyproxy(tmp_path, "ConnectPort 443") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_store("s3://bucket", QUICK) as store:
            with pytest.raises(
                StoreRefused, match=r"refused with HTTP 403; allow this host and port in the proxy, .* NO_PROXY"
            ):
                await store.read("key")


@EITHER_LOOP
async def test_tls_with_the_proxy_itself(tls_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then TLS is spoken within TLS."""
    data = os.urandom(3 << 20)
    async with relay(server_tls()) as (port, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{port}")
        async with opened("s3://bucket/nested") as store:
            await store.write("key", data)
            buffer = bytearray(len(data))
            assert await store.read_into("key", memoryview(buffer), start=0) == len(data)
            sink = Collecting()
            await store.read_through("key", sink, start=0, length=len(data))
    assert (bytes(buffer), bytes(sink.data)) == (data, data)
    assert all(head.startswith(b"CONNECT 127.0.0.1:") for head in heads)


# Bad input


async def test_a_store_in_an_excepted_network_is_reached_without_the_proxy(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    variables.setenv("NO_PROXY", "127.0.0.0/8")
    async with canned(reply(b"abc")) as server:
        variables.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_store("s3://bucket", QUICK) as store:
            assert await store.read("key") == b"abc"
    assert server.requests[0].target == "/bucket/key"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_credentials_is_named(variables: pytest.MonkeyPatch, scheme: str) -> None:
    refusal = reply(status=407, s3=False, Proxy_Authenticate='Basic realm="here"')
    async with canned(refusal) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            variables.setenv(name, proxy.url.replace("//", "//user:canary@"))
        variables.setenv("AWS_ENDPOINT_URL", f"{scheme}://minio.example:9000")
        async with open_store("s3://bucket", QUICK) as store:
            with pytest.raises(AccessDenied, match=rf"{proxy.url}.*proxy requires credentials.*HTTPS_PROXY") as caught:
                await store.read("key")
        assert "canary" not in str(caught.value)
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", [502, 503])
async def test_a_proxy_that_does_not_reach_the_server_is_named(
    variables: pytest.MonkeyPatch, scheme: str, status: int
) -> None:
    async with canned(reply("<html>Bad gateway</html>", status=status, s3=False)) as proxy:
        variables.setenv("ALL_PROXY", proxy.url.replace("//", "//user:canary@"))
        variables.setenv("AWS_ENDPOINT_URL", f"{scheme}://minio.example:9000")
        async with opened("s3://bucket") as store:
            with pytest.raises(TransientStoreError, match=rf"HTTP {status}") as raised:
                await store.read("key")
    assert f"through the proxy {proxy.url}" in str(raised.value)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "the proxy closed the connection"),
        (b"HTTP/1.1 200 Conn", "the proxy closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the proxy does not speak HTTP"),
        (bytes(1 << 17), "the proxy does not speak HTTP"),
    ],
    ids=["at once", "within the answer", "another protocol", "without end"],
)
async def test_a_tunnel_that_is_cut_off_names_the_proxy(variables: pytest.MonkeyPatch, sent: bytes, said: str) -> None:
    async with canned(cut(sent)) as proxy:
        variables.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:canary@"))
        variables.setenv("AWS_ENDPOINT_URL", "https://minio.example:9000")
        async with opened("s3://bucket") as store:
            with pytest.raises(ConnectionFailed, match=rf"minio\.example:9000 through the proxy {proxy.url}: {said}"):
                await store.read("key")


async def test_a_tunnel_that_is_cut_off_later_names_the_proxy(variables: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await peer.read(5)
        await peer.close()

    async with serve(script) as proxy:
        variables.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        variables.setenv("AWS_ENDPOINT_URL", "https://minio.example:9000")
        async with opened("s3://bucket") as store:
            with pytest.raises(ConnectionFailed, match=rf"proxy http://127\.0\.0\.1:{proxy.port}: .*NO_PROXY"):
                await store.read("key")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_the_connection_is_named(variables: pytest.MonkeyPatch, scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    variables.setenv("ALL_PROXY", f"http://user:canary@127.0.0.1:{port}")
    variables.setenv("AWS_ENDPOINT_URL", f"{scheme}://minio.example:9000")
    async with opened("s3://bucket") as store:
        with pytest.raises(ConnectionFailed, match="Connection refused; check HTTPS_PROXY") as raised:
            await store.read("key")
    assert f"minio.example:9000 through the proxy http://127.0.0.1:{port}" in str(raised.value)
    assert "canary" not in str(raised.value)


async def test_a_proxy_of_another_kind_is_refused_when_the_store_is_opened(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("ALL_PROXY", "socks5://user:canary@127.0.0.1:1080")
    variables.setenv("AWS_ENDPOINT_URL", "https://minio.example:9000")
    with pytest.raises(InvalidOption, match=r"ALL_PROXY is .* \(socks5:// is not supported\)") as raised:
        async with open_store("s3://bucket", QUICK):
            pass
    assert "canary" not in str(raised.value)


async def test_cancelling_while_a_proxy_is_silent_leaves_nothing_open(
    variables: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        asked.set()
        assert await peer.until_closed() == b""

    asked = asyncio.Event()
    async with serve(script) as proxy:
        variables.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        variables.setenv("AWS_ENDPOINT_URL", "https://minio.example:9000")
        async with opened("s3://bucket") as store:
            reading = asyncio.create_task(store.read("key"))
            await asked.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await proxy.played()
