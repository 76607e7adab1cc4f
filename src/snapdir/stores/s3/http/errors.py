"""What can go wrong between this host and an HTTP server, in one tree.

::

    WireError                 server, bytes_sent, bytes_received
    ├── ConnectFailed         no address took the connection, or the name has none
    │   ├── ConnectTimeout    none did in time (seconds)
    │   └── ProxyRefused      the proxy did not connect to the server (status)
    ├── TLSFailed             the server's certificate or the TLS handshake was refused (reason)
    ├── ConnectionLost        the connection ended before the response did (response_started)
    ├── FirstByteTimeout      the request was sent and nothing came back (seconds)
    ├── StallTimeout          bytes stopped moving, in either direction (seconds)
    ├── TooSlow               bytes moved more slowly than they may (seconds)
    ├── WorkTimeout           the service worked on a request for longer than it may (seconds)
    ├── ProtocolViolation     what came back is not HTTP, or longer than allowed; nothing of it is used (reason)
    ├── BodyTruncated         a file ended before the length its request promised (promised)
    ├── BodyChanged           a file does not hold the bytes that were hashed; the last of them were not sent
    ├── BodyUnreadable        a file could not be read while it was sent; the OSError is the cause
    └── PoolClosed            the pool was closed before the response came
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snapdir.stores.s3.http.endpoint import Endpoint

__all__ = [
    "BodyChanged",
    "BodyTruncated",
    "BodyUnreadable",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "FirstByteTimeout",
    "PoolClosed",
    "ProtocolViolation",
    "ProxyRefused",
    "StallTimeout",
    "TLSFailed",
    "TooSlow",
    "WireError",
    "WorkTimeout",
]


class WireError(Exception):
    """The root: one request could not be carried to a server and back.

    Attributes:
        server: What was to be reached, and by which proxy.
        bytes_sent: Bytes of the request's body that left this process.
        bytes_received: Bytes of the response, head included.
    """

    def __init__(self, server: Endpoint, *, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        super().__init__(server)
        self.server = server
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received

    def __str__(self) -> str:
        return f"{self.server}: {self._what()} ({self.bytes_sent} bytes sent, {self.bytes_received} received)"

    def _what(self) -> str:
        return "the request failed"


class _Explained(WireError):
    """A failure whose sentence depends on the case."""

    def __init__(self, server: Endpoint, reason: str, *, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        super().__init__(server, bytes_sent=bytes_sent, bytes_received=bytes_received)
        self.reason = reason


class _Expired(WireError):
    """A limit of ``Timeouts`` was reached."""

    def __init__(self, server: Endpoint, seconds: float, *, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        super().__init__(server, bytes_sent=bytes_sent, bytes_received=bytes_received)
        self.seconds = seconds


class ConnectFailed(_Explained):
    """No address took the connection, or the name has no address."""

    def __str__(self) -> str:
        return f"cannot connect to {self.server}: {self.reason}"


class ConnectTimeout(ConnectFailed):
    """No connection (name look-up and TLS handshake included) within ``seconds``."""

    def __init__(self, server: Endpoint, seconds: float) -> None:
        super().__init__(server, f"no answer within {seconds:g} s")
        self.seconds = seconds


class ProxyRefused(ConnectFailed):
    """The proxy answered CONNECT with another ``status`` than 2xx: it opens no tunnel to the server."""

    def __init__(self, server: Endpoint, status: int) -> None:
        super().__init__(server, f"the proxy refused with HTTP {status}")
        self.status = status


class TLSFailed(_Explained):
    """The certificate or the handshake was refused: a retry does not help."""

    def __str__(self) -> str:
        return f"TLS with {self.server} failed: {self.reason}"


class ConnectionLost(_Explained):
    """The connection ended before the response did.

    Attributes:
        response_started: Some byte of the response had come. If not, the server may never have seen the request.
    """

    @property
    def response_started(self) -> bool:
        return self.bytes_received > 0

    def _what(self) -> str:
        when = "within the response" if self.response_started else "before the response"
        return f"the connection was lost {when}: {self.reason}"


class FirstByteTimeout(_Expired):
    """The whole request was sent, and no byte of a response came within ``seconds``."""

    def _what(self) -> str:
        return f"no answer within {self.seconds:.3g} s (--stall-timeout)"


class StallTimeout(_Expired):
    """No byte moved for ``seconds`` while a request or its response was under way."""

    def _what(self) -> str:
        return f"nothing moved for {self.seconds:g} s (--stall-timeout)"


class TooSlow(_Expired):
    """Less moved than ``Timeouts`` demands, on the average of ``seconds``, while something was due."""

    def _what(self) -> str:
        return f"less than --min-rate moved, on the average of {self.seconds:g} s"


class WorkTimeout(_Expired):
    """The whole request was sent, and no whole response came within the ``seconds`` that the work may take."""

    def _what(self) -> str:
        return f"no answer within {self.seconds:g} s; the service may still be at work on it"


class ProtocolViolation(_Explained):
    """The answer is not HTTP, contradicts itself, or is longer than the caller allowed."""

    def _what(self) -> str:
        return f"not a valid response: {self.reason}"


class BodyTruncated(WireError):
    """A file ended before the length its request had promised.

    Attributes:
        promised: Bytes of the file range, as given.
    """

    def __init__(self, server: Endpoint, promised: int, *, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        super().__init__(server, bytes_sent=bytes_sent, bytes_received=bytes_received)
        self.promised = promised

    def _what(self) -> str:
        return f"the file to send holds {self.bytes_sent} of the {self.promised} bytes it should"


class BodyChanged(WireError):
    """A file does not hold the bytes that were hashed. The server has not got the last of them."""

    def _what(self) -> str:
        return "the file to send is not the one that was hashed"


class BodyUnreadable(_Explained):
    """A file could not be read while it was being sent."""

    def _what(self) -> str:
        return f"the file to send cannot be read: {self.reason}"


class PoolClosed(WireError):
    """The pool was closed before the response came, or before the request began."""

    def _what(self) -> str:
        return "the connection pool is closed"
