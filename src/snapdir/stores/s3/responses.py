"""Whether a response comes from S3, and what its head says about the body. Pure."""

from __future__ import annotations

from snapdir.errors import InvalidResponse, StoreError
from snapdir.stores.s3 import xml
from snapdir.stores.s3.failures import CHECK_ENDPOINT, Asked, refusal_error
from snapdir.stores.s3.http.parsing import http_seconds
from snapdir.stores.s3.http.responses import Response
from snapdir.stores.s3.ranges import body_length_of

__all__ = [
    "EmptyObject",
    "UnknownLength",
    "WholeObject",
    "check_gone",
    "check_not_empty",
    "expected_bytes",
    "is_s3",
    "must_be_s3",
    "refusal_from",
    "seconds_of",
]


class EmptyObject(Exception):
    """The head of a response says that the object has no byte, whatever range of it is said to come."""

    size = 0


class WholeObject(Exception):
    """An object of ``size`` bytes (None: unknown) is about to come where its first byte was asked for."""

    def __init__(self, size: int | None) -> None:
        super().__init__(size)
        self.size = size


class UnknownLength(Exception):
    """A body whose length only its end tells: no service sends an object like that, but some proxy may."""


def expected_bytes(asked: Asked, start: int, length: int | None, response: Response) -> int | None:
    """``body_length_of`` a response: None if it does not say.

    Raises:
        InvalidResponse: another range than the one asked for.
    """
    content_range = response.header(b"content-range")
    return body_length_of(
        asked,
        start=start,
        length=length,
        content_range=None if content_range is None else content_range.decode("latin-1"),
        content_length=response.content_length,
    )


def refusal_from(response: Response, asked: Asked) -> StoreError:
    """Our error for a refusal."""
    return refusal_error(xml.refusal_of(response.status, response.body, response.headers), asked)


def check_gone(response: Response, asked: Asked) -> None:
    """A 404 to DELETE is fine where it speaks of what was to be deleted, and not of a bucket or in a proxy's words."""
    if response.status == 200:
        xml.check_written(response.body, asked)
    elif response.status == 404 and response.body:
        refusal = xml.refusal_of(response.status, response.body, response.headers)
        if refusal.code not in ("NoSuchKey", "NoSuchUpload"):
            raise refusal_error(refusal, asked)


def is_s3(response: Response) -> bool:
    """Whether a success without a telling body comes from S3: nearly always an ETag shows it."""
    if response.header(b"etag") is not None or response.header(b"last-modified") is not None:
        return True
    return any(name.startswith(b"x-amz") for name in response.headers)


def check_not_empty(response: Response) -> None:
    """Stop at a head that announces a byte of an empty object (s3rver does, and never sends it).

    Raises:
        EmptyObject: the length of the object is 0.
    """
    if (response.header(b"content-range") or b"").rstrip().endswith(b"/0"):
        raise EmptyObject


def must_be_s3(response: Response, asked: Asked) -> None:
    """Refuse the success of another server, such as a sign-in page.

    Raises:
        InvalidResponse: it has none of the headers that S3 sends with an object.
    """
    if not is_s3(response):
        raise InvalidResponse(
            f"{asked}: HTTP {response.status} without an ETag or a request id; {CHECK_ENDPOINT}",
            key=asked.key,
        )


def seconds_of(header: bytes | None) -> float | None:
    """Unix seconds of a date in a header; None for none, or one that makes no sense."""
    try:
        return http_seconds(header.decode("latin-1")) if header else None
    except ValueError:
        return None
