"""HTTP/1.x syntax: heads, chunked bodies, dates. No I/O.

Everything is parsed strictly: text that RFC 9112 forbids, or leaves to interpretation, is MalformedHTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

END_OF_HEAD = b"\r\n\r\n"
HEAD_LIMIT_BYTES = 64 << 10

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
# One pass over the whole head settles its structure (1.3 µs for the 11 headers S3 sends): no folded line, no bare CR
# or LF, no space before a colon, no control character. The searches for single headers can then be plain finds.
is_head = re.compile(
    rb"HTTP/1\.[01] [1-5][0-9][0-9](?: " + _TEXT + rb")?+(?:\r\n" + _TOKEN + rb":" + _TEXT + rb")*+"
).fullmatch
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;" + _TEXT + rb")?")
_HEADER_LINE = re.compile(_TOKEN + rb":" + _TEXT)
_DATE = re.compile(
    r"[A-Za-z]+, ?(\d{1,2})[ -]([A-Z][a-z]{2})[ -](\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|[+-]0000)"
).fullmatch
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class MalformedHTTP(ValueError):
    """Received bytes are not valid HTTP; the text says why."""


class ChunkedDecoder:
    """Takes a chunked body apart as it arrives. Chunk extensions and trailers are checked and dropped.

    Attributes:
        done: The last chunk and its trailers have been seen.
    """

    def __init__(self) -> None:
        self.done = False
        self._line = b""  # the beginning of a line whose end has not come
        self._remaining_bytes = 0  # payload bytes of the current chunk that have not come
        self._read_line = self._read_size
        self._trailer_bytes = 0

    def feed(self, data: bytes, deliver: Callable[[memoryview], None]) -> int:
        """Pass the payload within ``data`` to ``deliver``; returns how many bytes of ``data`` belong to the body.

        Raises:
            MalformedHTTP: these are not chunks.
        """
        view, position = memoryview(data), 0
        while position < len(data) and not self.done:
            if self._remaining_bytes:
                piece = view[position : position + self._remaining_bytes]
                deliver(piece)
                self._remaining_bytes -= len(piece)
                position += len(piece)
            else:
                position = self._feed_line(data, position)
        return position

    def _feed_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        self._line += data[position : end + 1 if end >= 0 else len(data)]
        if len(self._line) > HEAD_LIMIT_BYTES:
            raise MalformedHTTP("a line between chunks is too long")
        if end < 0:
            return len(data)
        line, self._line = self._line, b""
        if not line.endswith(b"\r\n"):
            raise MalformedHTTP(f"a line between chunks ends without CR: {excerpt(line)}")
        self._read_line(line[:-2])
        return end + 1

    def _read_size(self, line: bytes) -> None:
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise MalformedHTTP(f"malformed chunk size {excerpt(line)}")
        self._remaining_bytes = int(match[1], 16)
        self._read_line = self._read_chunk_end if self._remaining_bytes else self._read_trailer

    def _read_chunk_end(self, line: bytes) -> None:
        if line:
            raise MalformedHTTP("a chunk is longer than its size")
        self._read_line = self._read_size

    def _read_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > HEAD_LIMIT_BYTES:
            raise MalformedHTTP("the trailers are too long")
        if not line:
            self.done = True
        elif _HEADER_LINE.fullmatch(line) is None:
            raise MalformedHTTP(f"malformed trailer {excerpt(line)}")


def http_seconds(date: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None if the text is not a date."""
    match = _DATE(date.strip())
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), 0, UTC
        ).timestamp()
    except ValueError:
        return None


def excerpt(data: bytes) -> str:
    """The beginning of ``data`` for a message."""
    return repr(data if len(data) <= 80 else data[:77] + b"...")
