"""The address of a server, and its proxy, from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

from __future__ import annotations

import ipaddress
import os
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from snapdir.errors import InvalidOption
from snapdir.stores.s3.http.tls import ResumingContext

DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """A proxy. Its text is its URL without the credentials.

    Attributes:
        authorization: Value of the ``Proxy-Authorization`` header; empty without credentials.
        ssl_context: For TLS with the proxy itself, where its scheme is https.
    """

    scheme: str
    host: str
    port: int
    authorization: bytes = b""
    ssl_context: ResumingContext | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({str(self)!r})"


class Endpoint(NamedTuple):
    """A server: its address, and the way to it.

    Attributes:
        ssl_context: For TLS with the server; None: plain TCP.
        proxy: The proxy that connections go to: for plain HTTP it forwards requests, for TLS it opens a tunnel.
    """

    host: str
    port: int
    ssl_context: ResumingContext | None = None
    proxy: Proxy | None = None

    @property
    def host_header(self) -> bytes:
        """The value of ``Host`` in a request: without a port if it is the default of the scheme."""
        return self._authority(with_port=self.port != DEFAULT_PORTS["http" if self.ssl_context is None else "https"])

    def _authority(self, *, with_port: bool = True) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{host}:{self.port}" if with_port else host).encode("ascii" if host.isascii() else "idna")

    @property
    def first_hop(self) -> tuple[str, int]:
        """Host and port that the connection is made to."""
        return (self.host, self.port) if self.proxy is None else (self.proxy.host, self.proxy.port)

    @property
    def request_lines(self) -> tuple[bytes, bytes]:
        """The text before the path in a request line, and the header lines at the start of every request."""
        lines = b"Host: %b\r\n" % self.host_header
        if self.proxy is None or self.ssl_context is not None:
            return b"", lines
        return b"http://%b" % self.host_header, lines + self._proxy_authorization

    @property
    def connect_request(self) -> bytes:
        """The request to the proxy for a tunnel to the server."""
        authority = self._authority()
        return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (authority, authority, self._proxy_authorization)

    @property
    def _proxy_authorization(self) -> bytes:
        if self.proxy is None or not self.proxy.authorization:
            return b""
        return b"Proxy-Authorization: %b\r\n" % self.proxy.authorization

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        way = "" if self.proxy is None else f" through the proxy {self.proxy}"
        return f"{host}:{self.port}{way}"


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy for requests to a server, as the environment says; None to reach it directly.

    ``NO_PROXY`` may hold names, domains, either with a port, addresses and networks (``10.0.0.0/8``, for hosts given
    by their address), or ``*``.

    Raises:
        InvalidOption: the URL of the proxy cannot be used.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    # 8 ms of imports that few runs need.
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = getproxies_environment()
    name = scheme if scheme in proxies else "all"
    if name not in proxies:
        return None
    if _is_in_a_network(host, proxies.get("no", "")):
        return None
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if proxy_bypass_environment(authority, proxies):
        return None
    return _parsed(proxies[name], f"{name.upper()}_PROXY")


def _parsed(url: str, name: str) -> Proxy:
    """Read ``http://user:password@host:port``, or less of it, from the variable ``name``."""
    full = url if "://" in url else f"http://{url.removeprefix('//')}"
    try:
        parts = urlsplit(full)
        default_port = DEFAULT_PORTS[parts.scheme]
        host, port = parts.hostname, parts.port or default_port
        usable = bool(host) and ("@" not in full or parts.username is not None)  # else a password with a slash, say
    except (ValueError, KeyError):  # a port that is not a number, a bracket that is not closed; another scheme
        host, usable = None, False
    if host is None or not usable:
        # The rest of the text may be a password, wherever it stands.
        scheme = full.partition("://")[0]
        kind = "" if scheme in DEFAULT_PORTS else f" ({scheme}:// is not supported)"
        raise InvalidOption(f"{name} is not the URL of an HTTP proxy{kind}; write http://host:port")
    authorization = b""
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + b64encode(credentials.encode())
    return Proxy(parts.scheme, host, port, authorization)


def _is_in_a_network(host: str, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, no_proxy.split(",")) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip().removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        return None
