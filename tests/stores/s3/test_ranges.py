"""Only the requested range is accepted."""

from __future__ import annotations

import pytest

from snapdir.errors import InvalidResponse
from snapdir.stores.s3.failures import Operation
from snapdir.stores.s3.http.responses import Response
from snapdir.stores.s3.reading import check_range, range_headers
from snapdir.stores.s3.target import S3Target

GET = Operation(S3Target("s3://b", "b", "", None, "us-east-1"), "GET", "key")


def expected(start: int, length: int | None, content_range: str | None, content_length: int | None) -> int | None:
    lines = ["HTTP/1.1 200 OK", "ETag: x"]
    lines += [] if content_range is None else [f"Content-Range: {content_range}"]
    lines += [] if content_length is None else [f"Content-Length: {content_length}"]
    return check_range(GET, start, length, Response("\r\n".join(lines).encode()))


@pytest.mark.parametrize(
    ("start", "length", "header"),
    [
        (0, None, {}),
        (5, None, {b"range": b"bytes=5-"}),
        (0, 10, {b"range": b"bytes=0-9"}),
        (7, 1, {b"range": b"bytes=7-7"}),
    ],
)
def test_a_range_is_asked_for_by_first_and_last_byte(
    start: int, length: int | None, header: dict[bytes, bytes]
) -> None:
    assert range_headers(start, length) == header


@pytest.mark.parametrize(
    ("start", "length", "content_range", "content_length", "received"),
    [
        (0, 10, "bytes 0-9/100", 10, 10),
        (90, 20, "bytes 90-99/100", 10, 10),
        (90, None, "bytes 90-99/100", 10, 10),
        (5, 10, "bytes 5-14/*", None, 10),
        (5, 10, "BYTES 5-6/7", 2, 2),
        (0, 10, None, 10, 10),  # the whole of an object that fits
        (0, 10, None, 3, 3),
        (0, 10, None, None, None),
        (0, None, None, 1000, 1000),
    ],
)
def test_what_fits_is_believed(
    start: int, length: int | None, content_range: str | None, content_length: int | None, received: int | None
) -> None:
    assert expected(start, length, content_range, content_length) == received


@pytest.mark.parametrize(
    ("start", "length", "content_range", "content_length"),
    [
        (5, 10, None, 100),  # the whole object: the server ignores ranges
        (5, 10, None, 10),
        (5, None, None, None),
        (0, 10, None, 11),
        (5, 10, "bytes 0-9/100", 10),  # another range
        (5, 10, "bytes 5-99/100", 95),
        (5, 10, "bytes 5-9/100", 5),  # ends before it has to
        (5, None, "bytes 5-9/100", 5),
        (5, 10, "bytes 5-4/100", 0),
        (5, 10, "bytes 5-14/100", 9),
        (5, 10, "items 5-14/100", 10),
        (5, 10, "bytes 5-14", 10),
        (5, 10, "garbage", 10),
    ],
)
def test_what_does_not_fit_is_refused(
    start: int, length: int | None, content_range: str | None, content_length: int | None
) -> None:
    with pytest.raises(InvalidResponse, match=r"s3://b/key"):
        expected(start, length, content_range, content_length)
