"""The proxy of a request, as the environment defines it, and what is sent to it."""

from __future__ import annotations

from base64 import b64encode

import pytest

from snapdir.errors import InvalidOption
from snapdir.stores.s3.http.endpoint import Endpoint, Proxy, proxy_for
from tests.stores.s3.scripted_server import client_tls


@pytest.mark.parametrize(
    ("host", "excepted", "meets"),
    [
        ("10.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "192.168.0.0/16, 10.0.0.0/8 ", False),
        ("11.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.99/24", False),  # a network by one of its hosts
        ("10.1.2.3", "10.1.2.3", False),
        ("10.1.2.3", "10.1.2.3:443", False),
        ("10.1.2.3", "10.1.2.3:80", True),
        ("10.1.2.3", "10.1.2.4", True),
        ("fd00::1", "fd00::/8", False),
        ("fd00::1", "[fd00::1]", False),
        ("fd00::1", "[fd00::1]:443", False),
        ("fe80::1", "fd00::/8", True),
        ("10.1.2.3", "fd00::/8", True),
        ("minio.internal", "10.0.0.0/8", True),  # names are not looked up for this
        ("minio.internal", "10.0.0.0/8,.internal", False),
        ("minio.internal", "internal", False),
        ("minio.internal", ".internal:443", False),
        ("minio.internal", "internal:9000", True),
        ("minio.internal", "io.internal", True),
        ("MinIO.Internal", "minio.internal", False),
        ("10.1.2.3", "10.0.0.0/99,nonsense,", True),
        ("10.1.2.3", "*", False),
        ("minio.internal", "*", False),
        ("minio.internal", "", True),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_takes_names_domains_ports_and_networks(
    monkeypatch: pytest.MonkeyPatch, name: str, host: str, excepted: str, meets: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv(name, excepted)
    assert (proxy_for("https", host, 443) is not None) is meets
    assert proxy_for("http", host, 80) is None
    monkeypatch.delenv("HTTPS_PROXY")
    assert proxy_for("https", host, 443) is None


@pytest.mark.parametrize(
    ("variables", "scheme", "expected"),
    [
        ({"HTTPS_PROXY": "http://a:1"}, "https", "http://a:1"),
        ({"https_proxy": "http://a:1"}, "https", "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "https", "http://b:2"),
        ({"HTTP_PROXY": "http://a:1"}, "http", "http://a:1"),
        ({"HTTP_PROXY": "http://a:1"}, "https", None),
        ({"ALL_PROXY": "http://a:1"}, "http", "http://a:1"),
        ({"all_proxy": "http://a:1"}, "https", "http://a:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "https", "http://b:2"),
        ({"HTTPS_PROXY": "a:3128"}, "https", "http://a:3128"),
        ({"HTTPS_PROXY": "//a:3128"}, "https", "http://a:3128"),
        ({"HTTPS_PROXY": "http://a"}, "https", "http://a:80"),
        ({"HTTPS_PROXY": "https://a"}, "https", "https://a:443"),
        ({"HTTPS_PROXY": "http://[::1]:8080/"}, "https", "http://[::1]:8080"),
        ({"HTTPS_PROXY": ""}, "https", None),
    ],
)
def test_the_proxy_is_the_one_of_the_scheme_or_of_all(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], scheme: str, expected: str | None
) -> None:
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(scheme, "minio.internal", 9000)
    assert (None if proxy is None else str(proxy)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "socks5://user:canary@proxy:1080",
        "socks5h://proxy:1080",
        "http://user:canary@proxy:port",
        "http://user:canary@",
        "http://user:can/ary@proxy:3128",
        "http://user:1/canary@proxy:3128",
        "http://[::1",
        "user:canary@proxy:port",
        "http://:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(InvalidOption, match=r"ALL_PROXY is not the URL .* write http://host:port") as raised:
        proxy_for("https", "minio.internal", 9000)
    assert "can" not in str(raised.value)


def test_credentials_are_sent_decoded_and_never_shown() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://us%40er:can%3Aary%2F@proxy:3128")
        proxy = proxy_for("https", "minio.internal", 9000)
    assert proxy is not None
    assert proxy.authorization == b"Basic " + b64encode(b"us@er:can:ary/")
    assert "ary" not in f"{proxy} {proxy!r} {Endpoint('minio.internal', 9000, None, proxy)!r}"


def test_tls_asks_for_a_tunnel_and_plain_http_names_the_server_in_each_request() -> None:
    proxy = Proxy("http", "proxy", 3128, b"Basic abc")
    encrypted, plain = Endpoint("::1", 443, client_tls(), proxy), Endpoint("minio", 9000, None, proxy)
    assert (
        encrypted.connect_request
        == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic abc\r\n\r\n"
    )
    assert encrypted.request_lines == (b"", b"Host: [::1]\r\n")
    assert plain.request_lines == (b"http://minio:9000", b"Host: minio:9000\r\nProxy-Authorization: Basic abc\r\n")
    assert Endpoint("minio", 9000).request_lines == (b"", b"Host: minio:9000\r\n")
    assert str(plain) == "minio:9000 through the proxy http://proxy:3128"
