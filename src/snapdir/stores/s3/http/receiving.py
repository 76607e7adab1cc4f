"""Turning received bytes into responses: where each byte goes, and when a response is complete. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.parsing import END_OF_HEAD, HEAD_LIMIT_BYTES, ChunkedDecoder, MalformedHTTP, Response

__all__ = ["ERROR_BODY_BYTES", "SCRATCH_BYTES", "ResponseReceiver"]

ERROR_BODY_BYTES = 64 << 10
"""What is read of the body of an error; the rest is left to the connection's end. S3 needs about 1 KiB."""
COLLECTED_BYTES = 1 << 20
"""A longer body is not given room for before it is there: its length is only what a server says."""
SCRATCH_BYTES = 64 << 10
INTERIM_LIMIT = 32
_WITHOUT_BODY = (204, 304)


class ResponseReceiver:
    """Receives one response after another.

    ``buffer()`` says where the next bytes go, ``feed()`` that they are there. A 2xx body of known length goes straight
    to its destination, except for what came along with its head.

    A body for ``Response.body`` takes memory as it comes, whatever length its head promises, and of an error no more
    than ERROR_BODY_BYTES are read. A body that goes to a BlockSink comes to a halt with its head: ``in_block`` says
    where. The caller reads the rest and then calls ``drained()``; until then nothing may be fed.

    Attributes:
        received: Bytes of the current response, its head and interim responses included.
        continued: The server has said ``100 Continue``.
    """

    def __init__(self, scratch: bytearray) -> None:
        """``scratch`` is used only between a ``buffer()`` and its ``feed()``: receivers of one thread may share it."""
        self._scratch = scratch
        self._view = memoryview(scratch)
        self._partial: bytearray | None = None  # a head whose end has not come
        self._collected = bytearray()  # what has come of a body for ``Response.body``
        self.begin(method_is_head=False, into=None, max_body_bytes=0)

    def begin(
        self,
        *,
        method_is_head: bool,
        into: memoryview | BlockSink | None,
        max_body_bytes: int,
        check: Callable[[Response], None] | None = None,
    ) -> None:
        """Expect a response.

        Args:
            into: Where the body of a 2xx goes; None: into ``Response.body``.
            max_body_bytes: The longest body of a 2xx that goes into ``Response.body`` or a BlockSink.
            check: Sees a 2xx before its body does anything; what it raises leaves ``feed()``.
        """
        self._method_is_head = method_is_head
        self._check = check
        self._sink: BlockSink | None = None
        if isinstance(into, BlockSink):
            self._sink, into = into, into.block
        self._into = into
        self._limit = max_body_bytes
        self._response: Response | None = None
        self._target: memoryview | None = None  # where a body of known length goes
        self._decoder: ChunkedDecoder | None = None
        self._filled = 0
        self._to_come = 0  # of a body of known length, behind its target
        self._is_error = False
        self.received = 0
        self.continued = False
        self._interim = 0

    def forget(self) -> None:
        """Let go of the caller's buffer and of everything else."""
        self._target = self._into = self._response = self._partial = self._sink = self._check = None

    def buffer(self) -> memoryview:
        """Where to put the next bytes; never empty."""
        if self._target is not None:
            return self._target[self._filled :]
        return self._view

    def feed(self, count: int) -> Response | None:
        """Take ``count`` bytes that were put into ``buffer()``; the response if they complete it.

        Raises:
            MalformedHTTP: they are no response, or one with a longer body than allowed.
        """
        self.received += count
        response = self._response
        if response is None:
            return self._receive_head(count)
        if self._target is None:
            return self._receive_unmeasured(response, self._view[:count])
        self._filled += count
        return self._measured(response) if self._filled == len(self._target) else None

    @property
    def in_block(self) -> tuple[int, int]:
        """Of a body that goes to a BlockSink: bytes that are in the block, and bytes still to come; else zeros."""
        if self._sink is None or self._target is None:
            return 0, 0
        return self._filled, len(self._target) - self._filled + self._to_come

    def drained(self) -> Response | None:
        """Somebody else has received and consumed the rest of the body: the response."""
        if self._response is None:
            return None  # forgotten meanwhile
        filled, to_come = self.in_block
        self.received += to_come
        self._filled = filled + to_come
        return self._complete(self._response)

    def end(self) -> Response | None:
        """The peer has closed in good order: the response, if it is one whose body ends that way."""
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
            raise MalformedHTTP(f"an interim response {response.status} that was not asked for")
        self.continued = self.continued or response.status == 100

    def _keep_partial(self, part: memoryview) -> None:
        if len(part) > HEAD_LIMIT_BYTES:
            raise MalformedHTTP("a response head of more than 64 KiB")
        self._partial = bytearray(part)
        if not b"HTTP/".startswith(self._partial[:5]):
            raise MalformedHTTP(f"a response that begins with {bytes(part[:40])!r}")

    def _begin_body(self, response: Response, rest: memoryview) -> Response | None:
        self._response = response
        self._is_error = response.status >= 300
        if self._is_error:
            self._into, self._limit = None, ERROR_BODY_BYTES
            self._sink = None
        elif self._into is not None and self._sink is None:
            self._limit = len(self._into)
        length = response.content_length
        if self._check is not None and response.status < 300:
            self._check(response)
        if self._method_is_head or response.status in _WITHOUT_BODY:
            self._into = None
            return self._begin_measured(response, 0, rest)
        if length is not None:
            if self._is_error and length > self._limit:
                response.keep_alive, length = False, self._limit
            self._check_limit(response, length)
            return self._begin_measured(response, length, rest)
        if self._sink is not None:
            raise MalformedHTTP(f"a {response.status} that does not say how long its body is")
        self._decoder = ChunkedDecoder() if response.chunked else None
        response.keep_alive = response.keep_alive and response.chunked  # else its end is the connection's
        return self._receive_unmeasured(response, rest)

    def _check_limit(self, response: Response, length: int) -> None:
        if length > self._limit:
            what = f"a {response.status} with a body of at least {length} bytes"
            raise MalformedHTTP(f"{what}, where {self._limit} were allowed")

    def _begin_measured(self, response: Response, length: int, rest: memoryview) -> Response | None:
        come = len(rest)
        if come > length:
            response.keep_alive = False  # what follows the response cannot be told from the next one
            come = length
        if self._into is None:
            if come == length:  # small responses, all at once: no detour
                response.body = bytes(rest[:come])
                response.received = come
                self.forget()
                return response
            self._target = memoryview(bytearray(max(come, min(length, COLLECTED_BYTES))))
        else:
            self._target = self._into[:length]
        self._to_come = length - len(self._target)
        self._target[:come] = rest[:come]
        self._filled = come
        return self._measured(response) if come == len(self._target) else None

    def _measured(self, response: Response) -> Response | None:
        """What was measured out has come: the whole body, a piece of it, or what comes before a sink's turn."""
        if self._sink is not None and self._filled:
            return None
        if self._sink is None and self._to_come:
            self._collect_piece()
            return None
        return self._complete(response)

    def _collect_piece(self) -> None:
        """Put what has come aside, and make room for the next piece."""
        if self._target is not None:
            self._collected += self._target
            self._target = self._target[: self._to_come]
            self._to_come -= len(self._target)
            self._filled = 0

    def _receive_unmeasured(self, response: Response, data: memoryview) -> Response | None:
        used = len(data)
        if self._decoder is None:
            self._deliver(data)
        else:
            used = self._decoder.feed(bytes(data), self._deliver)
        if self._is_error and self._filled >= self._limit:
            response.keep_alive = False
            return self._complete(response)
        if self._decoder is None or not self._decoder.done:
            return None
        response.keep_alive = response.keep_alive and used == len(data)
        return self._complete(response)

    def _deliver(self, piece: memoryview) -> None:
        if self._is_error:
            piece = piece[: self._limit - self._filled]
        filled = self._filled + len(piece)
        if self._response is not None:
            self._check_limit(self._response, filled)
        if self._into is None:
            self._collected += piece
        else:
            self._into[self._filled : filled] = piece
        self._filled = filled

    def _complete(self, response: Response) -> Response:
        response.received = self._filled
        if self._into is None:
            if self._target is not None:
                self._collected += self._target
            response.body = bytes(self._collected)
            response.received = len(response.body)
            self._collected = bytearray()
        self.forget()
        return response
