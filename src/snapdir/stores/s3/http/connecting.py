"""Opening a connection: addresses in turn, proxies and TLS within one deadline."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable

from snapdir.disk.descriptors import none_left
from snapdir.errors.local import OUT_OF_DESCRIPTORS
from snapdir.stores.s3.http.connection import Connection
from snapdir.stores.s3.http.dns import AddressBook, SocketAddress
from snapdir.stores.s3.http.endpoint import Endpoint
from snapdir.stores.s3.http.errors import ConnectFailed, ConnectTimeout, ProxyRefused, TLSFailed
from snapdir.stores.s3.http.parsing import END_OF_HEAD, HEAD_LIMIT_BYTES, MalformedHTTP
from snapdir.stores.s3.http.responses import Response
from snapdir.stores.s3.http.tls import ResumingContext

NEVER_FULL_BYTES = 1 << 30

IDLE_SECONDS, PROBE_SECONDS, PROBES = 45, 15, 5
"""A dead peer is noticed within two minutes, and NAT gateways keep the connection."""


async def open_connection(
    endpoint: Endpoint, book: AddressBook, make_connection: Callable[[], Connection], *, connect_seconds: float
) -> Connection:
    """Connect to one of the addresses in ``book``, those of the endpoint's first hop; the next one when one refuses.

    While there are others, an address has half of the time that is left.

    Raises:
        ConnectFailed: no address accepted the connection, or the name has none.
        ConnectTimeout: not within ``connect_seconds``.
        ProxyRefused: the proxy opens no tunnel. No other address is tried.
        TLSFailed: the certificate or the TLS of the server or its proxy is not acceptable. No other address is tried.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + connect_seconds
    failure: OSError | None = None
    candidates = await _addresses(endpoint, book, deadline, connect_seconds)
    for number, address in enumerate(candidates, 1):
        last = number == len(candidates)
        try:
            async with asyncio.timeout_at(deadline if last else (loop.time() + deadline) / 2):
                return await _connect(endpoint, address, make_connection, connect_seconds)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            failure = error  # closed within the handshake: try the next address
        except ssl.SSLError as error:
            raise TLSFailed(endpoint, _reason(error)) from error
        except MalformedHTTP as error:
            raise ConnectFailed(endpoint, f"the proxy does not speak HTTP: {error}") from error
        except OSError as error:
            failure = error
            if error.errno in OUT_OF_DESCRIPTORS:
                break
        book.strike(address)
    if isinstance(failure, TimeoutError) and failure.errno is None:
        raise ConnectTimeout(endpoint, connect_seconds) from failure
    raise ConnectFailed(endpoint, _words(failure)) from failure


async def _addresses(endpoint: Endpoint, book: AddressBook, deadline: float, seconds: float) -> list[SocketAddress]:
    try:
        async with asyncio.timeout_at(deadline):
            return await book.candidates()
    except socket.gaierror as error:
        if none_left():  # the resolver does not say so
            raise ConnectFailed(endpoint, os.strerror(errno.EMFILE)) from OSError(errno.EMFILE, error.strerror)
        raise ConnectFailed(endpoint, f"no address: {error.strerror}") from error
    except TimeoutError as error:
        raise ConnectTimeout(endpoint, seconds) from error
    except OSError as error:
        raise ConnectFailed(endpoint, str(error)) from error


async def _connect(
    endpoint: Endpoint, address: SocketAddress, make_connection: Callable[[], Connection], connect_seconds: float
) -> Connection:
    sock = await _connected_socket(address)
    # From here on the transport owns the socket, and closes it if a handshake fails.
    loop, proxy = asyncio.get_running_loop(), endpoint.proxy
    if endpoint.ssl_context is None and (proxy is None or proxy.ssl_context is None):
        _, connection = await loop.create_connection(make_connection, sock=sock)
        return connection
    tunnel = _Tunnel()
    transport, _ = await loop.create_connection(lambda: tunnel, sock=sock)
    try:
        if proxy is not None and proxy.ssl_context is not None:
            transport = await _start_tls(transport, tunnel, proxy.ssl_context, proxy.host, connect_seconds)
        if proxy is not None and endpoint.ssl_context is not None:
            await tunnel.open(endpoint, transport)
        if endpoint.ssl_context is not None:
            transport = await _start_tls(transport, tunnel, endpoint.ssl_context, endpoint.host, connect_seconds)
    except BaseException:
        transport.abort()
        raise
    connection = make_connection()
    transport.set_protocol(connection)
    connection.connection_made(transport)
    return connection


async def _connected_socket(address: SocketAddress) -> socket.socket:
    family, sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(sock)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket) -> None:
    """Let the system probe a silent connection: a service may work for minutes before it responds."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    values = {"TCP_KEEPIDLE": IDLE_SECONDS, "TCP_KEEPINTVL": PROBE_SECONDS, "TCP_KEEPCNT": PROBES}
    for name, value in values.items():
        if hasattr(socket, name):  # macOS has not all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _start_tls(
    below: asyncio.Transport, protocol: asyncio.Protocol, context: ResumingContext, host: str, seconds: float
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    transport = await loop.start_tls(below, protocol, context, server_hostname=host, ssl_handshake_timeout=seconds)
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    # A thread that reads past this transport pauses the one below, which must then not resume by itself.
    transport.set_read_buffer_limits(high=NEVER_FULL_BYTES)  # type: ignore[attr-defined]
    transport.get_extra_info("ssl_object").tcp_transport = below
    return transport


class _Tunnel(asyncio.Protocol):
    """Receives the response to CONNECT. With TLS the client speaks first, so nothing follows a 2xx."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._response: asyncio.Future[Response] | None = None

    async def open(self, endpoint: Endpoint, transport: asyncio.Transport) -> None:
        """Request a tunnel to the server from the proxy at the other end of ``transport``.

        Raises:
            ProxyRefused: the proxy responded with another status than 2xx.
            ConnectionError, MalformedHTTP: the proxy did not respond, or not in HTTP.
        """
        self._response = response = asyncio.get_running_loop().create_future()
        transport.write(endpoint.connect_request)
        await asyncio.wait([response])
        if response.cancelled():
            raise _ProxyClosed
        status = response.result().status
        if not 200 <= status < 300:
            raise ProxyRefused(endpoint, status)

    def data_received(self, data: bytes) -> None:
        if self._response is None or self._response.done():
            return
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0 and len(self._received) <= HEAD_LIMIT_BYTES:
            return
        try:
            self._response.set_result(Response(bytes(self._received[: max(end, 0)])))
        except MalformedHTTP as error:
            self._response.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the shape of every protocol
        if self._response is not None:
            self._response.cancel()


class _ProxyClosed(ConnectionError):
    """The proxy closed the connection without a response."""


def out_of_descriptors(error: BaseException) -> bool:
    """Whether a connection failed because this process, or the machine, can open no more files."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in OUT_OF_DESCRIPTORS


def _words(failure: OSError | None) -> str:
    if isinstance(failure, _ProxyClosed):
        return "the proxy closed the connection"
    if failure is not None and failure.errno and not isinstance(failure, ssl.SSLError):
        return os.strerror(failure.errno)  # event loops put a text of their own there
    return "closed within the TLS handshake"  # their error for that has no text


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or str(error)
