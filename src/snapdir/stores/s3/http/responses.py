"""Response heads, and the receiver that turns bytes into responses. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.parsing import (
    END_OF_HEAD,
    HEAD_LIMIT_BYTES,
    ChunkedDecoder,
    MalformedHTTP,
    excerpt,
    is_head,
)

MAX_BODY_BYTES = 16 << 20
ERROR_BODY_BYTES = 64 << 10
"""Bytes of an error's body that are read, then the connection is closed. S3 needs about 1 KiB."""
COLLECTED_BYTES = 1 << 20
"""Memory for a longer body is taken as it arrives: a server may claim any length."""
SCRATCH_BYTES = 64 << 10
INTERIM_LIMIT = 32
_WITHOUT_BODY = (204, 304)
_CONTENT_LENGTH = b"\r\ncontent-length:"
_MINOR_VERSION_1 = ord("1")
_LENGTH_DIGITS = 19


class Response:
    """The status, the headers and, once received, the body of one response.

    Attributes:
        status: 100 to 599.
        body: The body; empty if it went into the caller's buffer.
        received: Bytes of the body, wherever they were put.
        content_length: The header (for HEAD: the size of the object), or None.
        chunked: The body comes in chunks.
        keep_alive: The server lets the connection be used again.
        corrections: What the sender changed in earlier tries, for this response to be a success.
    """

    __slots__ = (
        "_head",
        "_headers",
        "_lowered",
        "body",
        "chunked",
        "content_length",
        "corrections",
        "keep_alive",
        "received",
        "status",
    )

    def __init__(self, head: bytes) -> None:
        """Parse a head, from the status line to the last header, without the empty line that ends it.

        Raises:
            MalformedHTTP: it is not valid, or the length of the body is ambiguous.
        """
        if is_head(head) is None:
            raise MalformedHTTP(f"malformed response head {excerpt(head)}")
        self._head = head
        self._lowered = lowered = head.lower()
        self._headers: dict[bytes, bytes] | None = None
        self.status = int(head[9:12])
        self.body = b""
        self.received = 0
        self.corrections: Collection[str] = ()
        # Nearly every response has one Content-Length and neither of the other headers: the rare ones pay.
        self.chunked = lowered.find(b"\r\ntransfer-encoding:") >= 0 and self._is_chunked()
        self.content_length = self._length(lowered)
        self.keep_alive = head[7] == _MINOR_VERSION_1 and (lowered.find(b"\r\nconnection:") < 0 or self._stays_open())

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Headers by lower-case name; repeated values are joined by ``, ``. Parsed on first use."""
        if self._headers is None:
            self._headers = _parse_headers(self._head)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """The first value of the header ``name`` (lower case), or None: cheaper than ``headers`` for one or two."""
        start = self._lowered.find(b"\r\n" + name + b":")
        if start < 0:
            return None
        start += len(name) + 3
        end = self._head.find(b"\r\n", start)
        return self._head[start : end if end >= 0 else None].strip(b" \t")

    def _length(self, lowered: bytes) -> int | None:
        start = lowered.find(_CONTENT_LENGTH)
        if start < 0:
            return None
        start += len(_CONTENT_LENGTH)
        if self.chunked or lowered.find(_CONTENT_LENGTH, start) >= 0:
            raise MalformedHTTP("contradictory headers about the length of the body")
        end = lowered.find(b"\r\n", start)
        value = lowered[start : end if end >= 0 else None].strip(b" \t")
        if not value.isdigit() or len(value) > _LENGTH_DIGITS:
            raise MalformedHTTP(f"malformed Content-Length {excerpt(value)}")
        return int(value)

    def _is_chunked(self) -> bool:
        value = self.headers[b"transfer-encoding"]
        if value.lower() != b"chunked" or self._head[7] != _MINOR_VERSION_1:
            raise MalformedHTTP(f"unsupported Transfer-Encoding {excerpt(value)}")
        return True

    def _stays_open(self) -> bool:
        return b"close" not in [token.strip(b" \t") for token in self.headers[b"connection"].lower().split(b",")]

    def __repr__(self) -> str:
        return f"<Response {self.status}, {self.received} bytes>"


def _parse_headers(head: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


class Reception(NamedTuple):
    """How a response is received.

    Attributes:
        into: Where the body of a 2xx goes; None: into ``Response.body``. A buffer is writable, of bytes, and at least
            as long as the body, which is received there without a copy. A BlockSink takes a body of known length block
            by block, in threads.
        max_body_bytes: The longest body of a 2xx if ``into`` is not a buffer.
        check: Called with the head of a 2xx before its body is stored; its errors end the request.
        patience_seconds: Seconds for the whole response to a request that servers work on for minutes; 0 for
            the usual limits.
    """

    into: memoryview | BlockSink | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    check: Callable[[Response], None] | None = None
    patience_seconds: float = 0.0


PLAIN = Reception()


class ResponseReceiver:
    """Receives one response.

    The caller puts bytes into ``buffer()`` and calls ``feed()``. A 2xx body of known length goes straight to its
    destination, except for the bytes that arrive with its head.

    A body for ``Response.body`` takes memory as it arrives; of an error at most ERROR_BODY_BYTES are read. For a
    BlockSink, receiving stops after the head: the caller reads the rest itself (``in_block``) and calls ``drained()``.

    Attributes:
        received: Bytes so far, with head and interim responses.
    """

    def __init__(self, scratch: bytearray, reception: Reception = PLAIN, *, method_is_head: bool = False) -> None:
        """Expect a response. Errors of ``reception.check`` leave ``feed()``.

        Args:
            scratch: Used only between a ``buffer()`` and its ``feed()``: receivers of one thread may share it.
        """
        self._scratch = scratch
        self._view = memoryview(scratch)
        self._method_is_head = method_is_head
        self._check = reception.check
        self._sink: BlockSink | None = None
        into = reception.into
        if isinstance(into, BlockSink):
            self._sink, into = into, into.block
        self._into = into
        self._max_body_bytes = reception.max_body_bytes
        self._response: Response | None = None
        self._partial: bytearray | None = None  # a head whose end has not come
        self._target: memoryview | None = None  # where a body of known length goes
        self._collected: bytearray | None = None  # what has come of a body for ``Response.body``
        self._decoder: ChunkedDecoder | None = None
        self._filled = 0
        self._to_come = 0  # of a body of known length, after its target
        self._is_error = False
        self._interim = 0
        self.received = 0

    def buffer(self) -> memoryview:
        """Where to put the next bytes; never empty."""
        if self._target is not None:
            return self._target[self._filled :]
        return self._view

    def feed(self, count: int) -> Response | None:
        """Take ``count`` bytes that were put into ``buffer()``; the response if they complete it.

        Raises:
            MalformedHTTP: the bytes are not a response, or its body is longer than allowed.
        """
        self.received += count
        response = self._response
        if response is None:
            return self._receive_head(count)
        if self._target is None:
            return self._receive_unmeasured(response, self._view[:count])
        self._filled += count
        return self._measured(response) if self._filled == len(self._target) else None

    def forget(self) -> None:
        """Release the caller's buffer. The traceback of an error may keep this object alive for long."""
        self._target = self._into = self._sink = None

    @property
    def in_block(self) -> tuple[int, int]:
        """Bytes of a body in the sink's block, and bytes still to come; zeros without a sink."""
        if self._sink is None or self._target is None:
            return 0, 0
        return self._filled, len(self._target) - self._filled + self._to_come

    def drained(self) -> Response | None:
        """The response, after the caller has received and consumed the rest of the body."""
        if self._response is None:
            return None
        filled, to_come = self.in_block
        self.received += to_come
        self._filled = filled + to_come
        self._sink = None
        return self._complete(self._response)

    def end(self) -> Response | None:
        """The peer has closed cleanly: the response, if its body ends that way."""
        if self._response is None or self._target is not None or self._decoder is not None:
            return None
        return self._complete(self._response)

    def _receive_head(self, count: int) -> Response | None:
        buffer, size, base, start = self._scratch, count, 0, 0
        if self._partial is not None:
            start = max(0, len(self._partial) - len(END_OF_HEAD) + 1)
            self._partial += self._view[:count]
            buffer, size = self._partial, len(self._partial)
            self._partial = None
        while (end := buffer.find(END_OF_HEAD, start, size)) >= 0:
            response = Response(bytes(memoryview(buffer)[base:end]))
            base = start = end + len(END_OF_HEAD)
            if response.status >= 200:
                return self._begin_body(response, memoryview(buffer)[base:size])
            self._pass_interim(response)
        if base < size:
            self._keep_partial(memoryview(buffer)[base:size])
        return None

    def _pass_interim(self, response: Response) -> None:
        self._interim += 1
        if response.status == 101 or self._interim > INTERIM_LIMIT:
            raise MalformedHTTP(f"an unexpected interim response {response.status}")

    def _keep_partial(self, part: memoryview) -> None:
        if len(part) > HEAD_LIMIT_BYTES:
            raise MalformedHTTP("a response head of more than 64 KiB")
        self._partial = bytearray(part)
        if not b"HTTP/".startswith(self._partial[:5]):
            raise MalformedHTTP(f"it begins with {bytes(part[:40])!r}")

    def _begin_body(self, response: Response, rest: memoryview) -> Response | None:
        self._response = response
        self._is_error = response.status >= 300
        if self._is_error:
            self._into, self._max_body_bytes = None, ERROR_BODY_BYTES
            self._sink = None
        elif self._into is not None and self._sink is None:
            self._max_body_bytes = len(self._into)
        length = response.content_length
        if self._check is not None and response.status < 300:
            self._check(response)
        if self._method_is_head or response.status in _WITHOUT_BODY:
            self._into = None
            return self._begin_measured(response, 0, rest)
        if length is not None:
            if self._is_error and length > self._max_body_bytes:
                response.keep_alive, length = False, self._max_body_bytes
            self._check_limit(response, length)
            return self._begin_measured(response, length, rest)
        if self._sink is not None:
            raise MalformedHTTP(f"a {response.status} without the length of its body")
        self._decoder = ChunkedDecoder() if response.chunked else None
        response.keep_alive = response.keep_alive and response.chunked  # otherwise the connection ends with it
        return self._receive_unmeasured(response, rest)

    def _check_limit(self, response: Response, length: int) -> None:
        if length > self._max_body_bytes:
            body = f"a body of at least {length} bytes, where {self._max_body_bytes} were allowed"
            raise MalformedHTTP(f"a {response.status} with {body}")

    def _begin_measured(self, response: Response, length: int, rest: memoryview) -> Response | None:
        come = len(rest)
        if come > length:
            response.keep_alive = False  # bytes after the body belong to no response
            come = length
        if self._into is None:
            if come == length:  # small responses, all at once: no detour
                response.body = bytes(rest[:come])
                response.received = come
                return response
            self._target = memoryview(bytearray(max(come, min(length, COLLECTED_BYTES))))
        else:
            self._target = self._into[:length]
        self._to_come = length - len(self._target)
        self._target[:come] = rest[:come]
        self._filled = come
        return self._measured(response) if come == len(self._target) else None

    def _measured(self, response: Response) -> Response | None:
        """The target is full: the body is complete, or a piece of it, or it waits for the sink."""
        if self._sink is not None and self._filled:
            return None
        if self._sink is None and self._to_come:
            self._collect_piece()
            return None
        return self._complete(response)

    def _collect(self, piece: memoryview) -> None:
        if self._collected is None:
            self._collected = bytearray()
        self._collected += piece

    def _collect_piece(self) -> None:
        """Set the received piece aside and make room for the next one."""
        if self._target is not None:
            self._collect(self._target)
            self._target = self._target[: self._to_come]
            self._to_come -= len(self._target)
            self._filled = 0

    def _receive_unmeasured(self, response: Response, data: memoryview) -> Response | None:
        used = len(data)
        if self._decoder is None:
            self._deliver(data)
        else:
            used = self._decoder.feed(bytes(data), self._deliver)
        if self._is_error and self._filled >= self._max_body_bytes:
            response.keep_alive = False
            return self._complete(response)
        if self._decoder is None or not self._decoder.done:
            return None
        response.keep_alive = response.keep_alive and used == len(data)
        return self._complete(response)

    def _deliver(self, piece: memoryview) -> None:
        if self._is_error:
            piece = piece[: self._max_body_bytes - self._filled]
        filled = self._filled + len(piece)
        if self._response is not None:
            self._check_limit(self._response, filled)
        if self._into is None:
            self._collect(piece)
        else:
            self._into[self._filled : filled] = piece
        self._filled = filled

    def _complete(self, response: Response) -> Response:
        response.received = self._filled
        if self._into is None:
            if self._target is not None and self._collected is not None:
                self._collect(self._target)
                self._target = None
            response.body = bytes(self._collected or self._target or b"")
            response.received = len(response.body)
        return response
