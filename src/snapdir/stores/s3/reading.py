"""HEAD and ranged GETs. Headers are checked before a body is accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from snapdir.errors import ConnectionFailed, InvalidResponse
from snapdir.stores.base import BodyCutShort, ObjectInfo, checked_range
from snapdir.stores.blocks import BlockSink, read_blocks
from snapdir.stores.s3.checksums import decoded
from snapdir.stores.s3.client import CHECKSUM, NO_HEADERS, S3Client
from snapdir.stores.s3.failures import CHECK_ENDPOINT, Operation
from snapdir.stores.s3.http.parsing import http_seconds
from snapdir.stores.s3.http.responses import Reception, Response

MAX_READ_BYTES = 1 << 30
"""The longest body of a ``read`` without a length."""

CHECKSUM_MODE = {b"x-amz-checksum-mode": b"ENABLED"}

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE | re.ASCII).fullmatch
_TOTAL = re.compile(r"bytes 0-0/(\d{1,19})", re.IGNORECASE | re.ASCII).fullmatch


async def stat(client: S3Client, key: str, *, checksum: bool = False) -> ObjectInfo:
    """Size, time and, with ``checksum``, the CRC32C that the service keeps, if it does."""
    response, size = await _head(client, key, checksum=checksum)
    return ObjectInfo(key, size, _seconds_of(response.header(b"last-modified")), decoded(_kept_checksum(response)))


async def size_and_checksum(client: S3Client, key: str) -> tuple[int, str]:
    """The length of an object, and the CRC32C that the service keeps as it sends it; empty without one."""
    response, size = await _head(client, key, checksum=True)
    return size, _kept_checksum(response)


async def read(client: S3Client, key: str, *, start: int, length: int | None) -> bytes:
    """The range, short or empty at the object's end. ``length`` is not 0."""
    limit = MAX_READ_BYTES if length is None else length
    response = await _get(client, key, start, length, Reception(max_body_bytes=limit))
    return b"" if response is None else response.body


async def read_tagged(client: S3Client, key: str, max_bytes: int) -> tuple[bytes, bytes]:
    """The first bytes of a small object, with its ETag.

    Raises:
        InvalidResponse: the service sent no ETag.
    """
    response = await _get(client, key, 0, max_bytes, Reception(max_body_bytes=max_bytes))
    if response is None:
        return b"", b""  # an empty object is never swapped
    etag = response.header(b"etag")
    if etag is None:
        raise _invalid(Operation(client.target, "GET", key), "an object without an ETag")
    return response.body, etag


async def read_into(client: S3Client, key: str, buffer: memoryview, *, start: int) -> int:
    """Receive into ``buffer``, which is not empty, and return the bytes received.

    Raises:
        InvalidResponse: another range than the requested one.
    """
    response = await _get(client, key, start, len(buffer), Reception(into=buffer))
    return 0 if response is None else checked_range(key, response.received, len(buffer))


async def read_through(client: S3Client, key: str, sink: BlockSink, *, start: int, length: int) -> None:
    """Pass the range to ``sink``, fewer bytes only at the object's end. ``length`` is not 0.

    Raises:
        BodyCutShort: the body ended early, after the bytes that ``sink`` has consumed.
        InvalidResponse: another range than the requested one.
    """
    operation = Operation(client.target, "GET", key)
    begin = sink.consumed

    def check(response: Response) -> None:
        _check_not_empty(response)
        check_range(operation, start, length, response)
        if response.content_length is None:
            raise UnknownLength

    async def fill(view: memoryview, at: int) -> int:
        return await read_into(client, key, view, start=at)

    if client.nests_tls:
        await read_blocks(fill, sink, start=start, length=length)
        return
    try:
        await _get(client, key, start, length, Reception(sink, length, check))
    except UnknownLength:
        await read_blocks(fill, sink, start=start, length=length)
    except ConnectionFailed as error:
        if sink.consumed == begin:
            raise
        raise BodyCutShort(error.args[0], key=key, received=0) from error


def must_be_s3(response: Response, operation: Operation) -> None:
    """Refuse the success of another server, such as a sign-in page.

    Raises:
        InvalidResponse: it has none of the headers that S3 sends with an object.
    """
    if not _is_s3(response):
        raise InvalidResponse(
            f"{operation}: HTTP {response.status} without an ETag or a request id; {CHECK_ENDPOINT}",
            key=operation.key,
        )


class EmptyObject(Exception):
    """The response announces a range of an object that its headers call empty."""

    size = 0


class WholeObject(Exception):
    """The response to a request for one byte announces the whole object, of ``size`` bytes (None: unknown)."""

    def __init__(self, size: int | None) -> None:
        super().__init__(size)
        self.size = size


class UnknownLength(Exception):
    """The length of a body is not announced. No service does that, but a proxy may."""


async def _head(client: S3Client, key: str, *, checksum: bool) -> tuple[Response, int]:
    """The response to HEAD, and the length of the object."""
    operation = Operation(client.target, "HEAD", key)
    response = await client.send(operation, b"HEAD", headers=CHECKSUM_MODE if checksum else NO_HEADERS)
    size = response.content_length
    if size is None or response.status != 200 or not _is_s3(response):
        size = await _size_by_range(client, key)
    return response, size


async def _size_by_range(client: S3Client, key: str) -> int:
    """The length of an object by a request for its first byte, if HEAD did not give it."""
    operation = Operation(client.target, "GET", key)

    def check(response: Response) -> None:
        _check_not_empty(response)
        if response.status == 200:  # no Range support, but the head is enough
            must_be_s3(response, operation)
            raise WholeObject(response.content_length)

    headers = {b"range": b"bytes=0-0"}
    try:
        reception = Reception(max_body_bytes=1, check=check)
        response = await client.send(operation, b"GET", headers=headers, reception=reception, also=416)
    except (EmptyObject, WholeObject) as answer:
        size = answer.size
    else:
        total = _TOTAL(_content_range(response) or "")
        size = 0 if response.status == 416 else total and int(total[1])
    if size is None:
        raise InvalidResponse(f"{operation}: neither HEAD nor GET gives the length of the object", key=key)
    return size


async def _get(client: S3Client, key: str, start: int, length: int | None, reception: Reception) -> Response | None:
    """The response to a ranged GET; None if the object ends before the range."""
    operation = Operation(client.target, "GET", key)
    try:
        if reception.check is None:
            reception = reception._replace(check=_check_not_empty)
        headers = range_headers(start, length)
        response = await client.send(operation, b"GET", headers=headers, reception=reception, also=416)
    except EmptyObject:
        return None
    if response.status == 416:
        return None
    expected = check_range(operation, start, length, response)
    if expected is not None and response.received != expected:
        raise ConnectionFailed(f"{operation}: received {response.received} of {expected} bytes", key=key)
    return response


def range_headers(start: int, length: int | None) -> Mapping[bytes, bytes]:
    """The header that requests a range; nothing for the whole object. ``length`` is not 0."""
    if length is not None:
        return {b"range": b"bytes=%d-%d" % (start, start + length - 1)}
    return {b"range": b"bytes=%d-" % start} if start else NO_HEADERS


def check_range(operation: Operation, start: int, length: int | None, response: Response) -> int | None:
    """Bytes that the body of a success must have; None if the response does not say.

    The headers decide, not the status: ``rclone serve s3`` sends a range with 200, and a service without Range support
    sends the whole object with 200.

    Raises:
        InvalidResponse: another range, headers that contradict each other, or a response of another server.
    """
    content_range, content_length = _content_range(response), response.content_length
    if content_range is None:
        if response.status == 200:
            must_be_s3(response, operation)
        return _whole_object(operation, start, length, content_length)
    received = _range(operation, start, length, content_range)
    if content_length is not None and content_length != received:
        raise _invalid(operation, f"Content-Range {content_range!r} does not fit Content-Length {content_length}")
    return received


def _whole_object(operation: Operation, start: int, length: int | None, content_length: int | None) -> int | None:
    if start:
        raise _invalid(operation, f"received the whole object instead of the bytes from {start}: no Range support")
    if length is not None and content_length is not None and content_length > length:
        raise _invalid(operation, f"received {content_length} bytes instead of {length}: no Range support")
    return content_length


def _range(operation: Operation, start: int, length: int | None, content_range: str) -> int:
    matched = _CONTENT_RANGE(content_range.strip())
    if matched is None:
        raise _invalid(operation, f"malformed Content-Range {content_range[:80]!r}")
    first, last = int(matched[1]), int(matched[2])
    received = last - first + 1
    if first != start or received < 1 or (length is not None and received > length):
        range_text = "to the end" if length is None else f"{length} bytes"
        raise _invalid(operation, f"received Content-Range {content_range!r} instead of {range_text} from {start}")
    ends_early = matched[3] != "*" and last + 1 < int(matched[3]) and (length is None or received < length)
    if ends_early:
        raise _invalid(operation, f"Content-Range {content_range!r} ends before the object and the requested range")
    return received


def _invalid(operation: Operation, reason: str) -> InvalidResponse:
    return InvalidResponse(f"{operation}: {reason}", key=operation.key)


def _content_range(response: Response) -> str | None:
    header = response.header(b"content-range")
    return None if header is None else header.decode("latin-1").strip()


def _check_not_empty(response: Response) -> None:
    """Stop at a head that announces a byte of an empty object, as s3rver does.

    Raises:
        EmptyObject: the length of the object is 0.
    """
    if (_content_range(response) or "").endswith("/0"):
        raise EmptyObject


def _is_s3(response: Response) -> bool:
    """Whether the headers of a success show S3: nearly always an ETag does."""
    if response.header(b"etag") is not None or response.header(b"last-modified") is not None:
        return True
    return any(name.startswith(b"x-amz") for name in response.headers)


def _kept_checksum(response: Response) -> str:
    return (response.header(CHECKSUM) or b"").decode("latin-1")


def _seconds_of(header: bytes | None) -> float | None:
    """Unix seconds of a date in a header; None without a valid one."""
    return http_seconds(header.decode("latin-1")) if header else None
