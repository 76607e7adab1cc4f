"""Errors of connections to an HTTP server."""

from __future__ import annotations

from snapdir.stores.s3.http.endpoint import Endpoint


class WireError(Exception):
    """The root: one request could not be carried to a server and back.

    Attributes:
        server: The server, and the proxy on the way.
        detail: A reason, or a number, as the kind of error says.
        bytes_sent: Bytes of the request's body that left this process.
        bytes_received: Bytes of the response, head included.
    """

    sentence = "the request failed"

    def __init__(
        self, server: Endpoint, detail: str | float = "", *, bytes_sent: int = 0, bytes_received: int = 0
    ) -> None:
        super().__init__(server, detail)
        self.server = server
        self.detail = detail
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received

    def __str__(self) -> str:
        sentence = self.sentence.format(self.detail)
        return f"{self.server}: {sentence} ({self.bytes_sent} bytes sent, {self.bytes_received} received)"


class ConnectFailed(WireError):
    """No address took the connection, or the name has no address (a reason)."""

    sentence = "{}"

    def __str__(self) -> str:
        return f"cannot connect to {self.server}: {self.sentence.format(self.detail)}"


class ConnectTimeout(ConnectFailed):
    """No connection (name look-up and TLS handshake included) in time (the seconds)."""

    sentence = "no response within {:g} s"


class ProxyRefused(ConnectFailed):
    """The proxy responded to CONNECT with another ``status`` than 2xx, and opens no tunnel."""

    sentence = "the proxy refused with HTTP {}"

    @property
    def status(self) -> int:
        return int(self.detail)


class TLSFailed(WireError):
    """The certificate or the handshake was refused (a reason): a retry does not help."""

    def __str__(self) -> str:
        return f"TLS with {self.server} failed: {self.detail}"


class ConnectionLost(WireError):
    """The connection ended before the response did (a reason)."""

    @property
    def response_started(self) -> bool:
        """Whether a byte of the response had come. If not, the server may never have seen the request."""
        return self.bytes_received > 0

    @property
    def sentence(self) -> str:  # type: ignore[override]
        return f"the connection was lost {'within' if self.response_started else 'before'} the response: {{}}"


class FirstByteTimeout(WireError):
    """The whole request was sent, but no byte of a response came in time (the seconds)."""

    sentence = "no response within {:.3g} s (--stall-timeout)"


class StallTimeout(WireError):
    """No byte of a request or its response moved for some time (the seconds)."""

    sentence = "no data for {:g} s (--stall-timeout)"


class TooSlow(WireError):
    """Data was expected and arrived more slowly than ``Timeouts`` allows, on average over some time (the seconds)."""

    sentence = "slower than --min-rate on average for {:g} s"


class WorkTimeout(WireError):
    """The whole request was sent, and no whole response came within the seconds that the work may take."""

    sentence = "no response within {:g} s; the service may still be processing the request"


class ProtocolViolation(WireError):
    """The response is not HTTP, contradicts itself, or is longer than the caller allowed (a reason)."""

    sentence = "not a valid response: {}"


class BodyTruncated(WireError):
    """A file ended before its range did (the bytes of the range)."""

    sentence = "the file to send is shorter than {} bytes"


class BodyChanged(WireError):
    """A file does not hold the bytes that were hashed. The last bytes were not sent."""

    sentence = "the file to send has changed since it was hashed"


class BodyUnreadable(WireError):
    """A file could not be read while it was being sent (a reason)."""

    sentence = "the file to send cannot be read: {}"


class PoolClosed(WireError):
    """The pool was closed before the response came, or before the request began."""

    sentence = "the connection pool is closed"
