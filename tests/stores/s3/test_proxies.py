"""Which requests would go through a proxy, and what a proxy that wants credentials is answered with."""

from __future__ import annotations

import pytest

from snapdir.errors import AccessDenied
from snapdir.stores.open import open_store
from snapdir.stores.s3.proxies import meets_proxy

from .canned_server import canned, reply
from .conftest import CREDENTIALS, QUICK


@pytest.mark.parametrize(
    ("host", "excepted", "meets"),
    [
        ("10.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "192.168.0.0/16, 10.0.0.0/8 ", False),
        ("11.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.99/24", False),  # a network by one of its hosts
        ("10.1.2.3", "10.1.2.3", False),
        ("10.1.2.3", "10.1.2.4", True),
        ("fd00::1", "fd00::/8", False),
        ("fd00::1", "[fd00::1]", False),
        ("fe80::1", "fd00::/8", True),
        ("10.1.2.3", "fd00::/8", True),
        ("minio.internal", "10.0.0.0/8", True),  # names are not looked up for this
        ("minio.internal", "10.0.0.0/8,.internal", False),
        ("10.1.2.3", "10.0.0.0/99,nonsense,", True),
        ("10.1.2.3", "*", False),
    ],
)
def test_no_proxy_takes_networks(monkeypatch: pytest.MonkeyPatch, host: str, excepted: str, meets: bool) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert meets_proxy("https", host) is meets
    assert not meets_proxy("http", host)
    monkeypatch.delenv("HTTPS_PROXY")
    assert not meets_proxy("https", host)


async def test_a_store_in_an_excepted_network_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.0/8"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    async with canned(reply(b"abc")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_store("s3://bucket", QUICK) as store:
            assert await store.read("key") == b"abc"
    assert server.requests[0].target == "/bucket/key"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_credentials_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    refusal = reply(status=407, s3=False, Proxy_Authenticate='Basic realm="here"')
    async with canned(refusal) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("//", "//user:canary@"))
        monkeypatch.delenv("REQUEST_METHOD", raising=False)
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": f"{scheme}://minio.example:9000"}.items():
            monkeypatch.setenv(name, value)
        async with open_store("s3://bucket", QUICK) as store:
            with pytest.raises(AccessDenied, match=r"proxy wants credentials.*HTTPS_PROXY") as caught:
                await store.read("key")
        assert "canary" not in str(caught.value)
        assert len(proxy.requests) == 1
