"""Does the answer hold the range that was asked for? Decided from its headers, before a byte of it is believed."""

from __future__ import annotations

import re

from snapdir.errors import InvalidResponse
from snapdir.stores.s3.failures import Asked

__all__ = ["body_length_of", "range_header", "total_length_of"]

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE | re.ASCII).fullmatch
_TOTAL = re.compile(r"bytes 0-0/(\d{1,19})", re.IGNORECASE | re.ASCII).fullmatch


def total_length_of(content_range: str) -> int | None:
    """Bytes of the object whose first byte was asked for; None if ``Content-Range`` does not say."""
    matched = _TOTAL(content_range.strip())
    return int(matched[1]) if matched else None


def range_header(start: int, length: int | None) -> str | None:
    """Value of a ``Range`` header; None where the whole object is wanted. ``length`` is not 0."""
    if length is None:
        return f"bytes={start}-" if start else None
    return f"bytes={start}-{start + length - 1}"


def body_length_of(
    asked: Asked, *, start: int, length: int | None, content_range: str | None, content_length: int | None
) -> int | None:
    """Bytes that the body of a successful answer must have; None if the answer does not say.

    The headers decide, not the status: some services send a range with 200 (``rclone serve s3``), and one that
    ignores ranges sends the whole object with 200, which would put its first bytes in the place of later ones.

    Raises:
        InvalidResponse: another range than the one asked for, or headers that contradict each other.
    """
    if content_range is None:
        received = _whole_object(asked, start, length, content_length)
    else:
        received = _range(asked, start, length, content_range)
        if content_length is not None and content_length != received:
            raise _invalid(asked, f"Content-Range {content_range!r} does not fit Content-Length {content_length}")
    return received


def _whole_object(asked: Asked, start: int, length: int | None, content_length: int | None) -> int | None:
    if start:
        raise _invalid(asked, f"the whole object came where bytes from {start} were asked for: no Range support")
    if length is not None and content_length is not None and content_length > length:
        raise _invalid(asked, f"{content_length} bytes came where {length} were asked for: no Range support")
    return content_length


def _range(asked: Asked, start: int, length: int | None, content_range: str) -> int:
    matched = _CONTENT_RANGE(content_range.strip())
    if matched is None:
        raise _invalid(asked, f"unreadable Content-Range {content_range[:80]!r}")
    first, last = int(matched[1]), int(matched[2])
    received = last - first + 1
    if first != start or received < 1 or (length is not None and received > length):
        wanted = "to the end" if length is None else f"{length} bytes"
        raise _invalid(asked, f"Content-Range {content_range!r} where {wanted} from {start} were asked for")
    ends_early = matched[3] != "*" and last + 1 < int(matched[3]) and (length is None or received < length)
    if ends_early:
        raise _invalid(asked, f"Content-Range {content_range!r} ends before the object and the range asked for do")
    return received


def _invalid(asked: Asked, reason: str) -> InvalidResponse:
    return InvalidResponse(f"{asked}: {reason}", key=asked.key)
