"""From an endpoint to an open connection: addresses in turn, TLS, one deadline for all of it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple

from snapdir.errors.local import OUT_OF_DESCRIPTORS
from snapdir.stores.s3.http.connection import Connection
from snapdir.stores.s3.http.dns import Address, AddressBook
from snapdir.stores.s3.http.errors import ConnectFailed, ConnectTimeout, TLSFailed
from snapdir.stores.s3.http.line import keep_alive
from snapdir.stores.s3.http.tls import ResumingContext

__all__ = ["Endpoint", "open_connection", "out_of_descriptors"]

NEVER_FULL_BYTES = 1 << 30
_DEFAULT_PORTS = {True: 443, False: 80}


class Endpoint(NamedTuple):
    """A server: where it is, and whether and how TLS is spoken with it (``ssl_context``)."""

    host: str
    port: int
    ssl_context: ResumingContext | None = None

    @property
    def host_header(self) -> bytes:
        """What a request to it says in ``Host``: no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS[self.ssl_context is not None]
        return (host if self.port == default else f"{host}:{self.port}").encode("ascii" if host.isascii() else "idna")


async def open_connection(
    endpoint: Endpoint, book: AddressBook, make_connection: Callable[[], Connection], *, connect_seconds: float
) -> Connection:
    """Connect to one of the endpoint's addresses; the next one when one refuses.

    While there are others, an address has half of the time that is left.

    Raises:
        ConnectFailed: no address took the connection, or there is none.
        ConnectTimeout: not within ``connect_seconds``.
        TLSFailed: the server's certificate or its TLS is not acceptable. No other address is tried.
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
            failure = error  # closed within the handshake: that is this address's trouble
        except ssl.SSLError as error:
            raise TLSFailed(endpoint.host, endpoint.port, _reason(error)) from error
        except OSError as error:
            failure = error
            if error.errno in OUT_OF_DESCRIPTORS:
                break
        book.strike(address)
    if isinstance(failure, TimeoutError) and failure.errno is None:
        raise ConnectTimeout(endpoint.host, endpoint.port, connect_seconds) from failure
    raise ConnectFailed(endpoint.host, endpoint.port, _words(failure)) from failure


async def _addresses(endpoint: Endpoint, book: AddressBook, deadline: float, seconds: float) -> list[Address]:
    try:
        async with asyncio.timeout_at(deadline):
            return await book.candidates()
    except socket.gaierror as error:
        raise ConnectFailed(endpoint.host, endpoint.port, f"no address: {error.strerror}") from error
    except TimeoutError as error:
        raise ConnectTimeout(endpoint.host, endpoint.port, seconds) from error
    except OSError as error:
        raise ConnectFailed(endpoint.host, endpoint.port, str(error)) from error


async def _connect(
    endpoint: Endpoint, address: Address, make_connection: Callable[[], Connection], connect_seconds: float
) -> Connection:
    loop = asyncio.get_running_loop()
    family, sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(sock)
        await loop.sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    # From here on the transport owns the socket, and closes it if the handshake fails or is cancelled.
    if endpoint.ssl_context is None:
        _, connection = await loop.create_connection(make_connection, sock=sock)
        return connection
    tcp_transport, protocol = await loop.create_connection(asyncio.Protocol, sock=sock)
    transport = await loop.start_tls(
        tcp_transport,
        protocol,
        endpoint.ssl_context,
        server_hostname=endpoint.host,
        ssl_handshake_timeout=connect_seconds,
    )
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    # Whoever reads past the transport stops the one below it, which must not go on by itself meanwhile.
    transport.set_read_buffer_limits(high=NEVER_FULL_BYTES)  # type: ignore[attr-defined]
    transport.get_extra_info("ssl_object").tcp_transport = tcp_transport
    connection = make_connection()
    transport.set_protocol(connection)
    connection.connection_made(transport)
    return connection


def out_of_descriptors(error: BaseException) -> bool:
    """Whether a connection failed because this process, or the machine, can open no more files."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in OUT_OF_DESCRIPTORS


def _words(failure: OSError | None) -> str:
    if failure is not None and failure.errno and not isinstance(failure, ssl.SSLError):
        return os.strerror(failure.errno)  # the loops put words of their own there
    return "closed within the TLS handshake"  # for which they have an error without any


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or str(error)
