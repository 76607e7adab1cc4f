"""XML of S3: responses parsed, request bodies written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from snapdir.errors import InvalidResponse, StoreRefused
from snapdir.stores.base import ObjectInfo
from snapdir.stores.s3.checksums import decoded, encoded
from snapdir.stores.s3.failures import CHECK_ENDPOINT, ErrorResponse, Operation, service_error
from snapdir.stores.s3.http.responses import Response
from snapdir.stores.s3.signing import Credentials

if TYPE_CHECKING:
    from xml.etree import ElementTree  # at run time only where XML is read or written: 3.7 ms

ANSWER_BYTES = 64 << 10
"""The longest response that is not a listing; S3 sends a few hundred bytes."""
PAGE_BYTES = 8 << 20
"""The longest page: 1000 keys of 1024 bytes, each written as three, take 4 MB."""

VERSION_1 = (
    "the service ignored list-type=2 and sent the first page of a version 1 listing; "
    "snapdir needs ListObjectsV2: check that the service and any proxy in front of it support it"
)

SESSION_TOKEN = b"x-amz-s3session-token"

_SIZE = re.compile(r"[0-9]{1,19}", re.ASCII).fullmatch
"""Any size; int() refuses thousands of digits."""
_NAMED_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]*;)")
_XML_ENTITIES = ("amp;", "lt;", "gt;", "quot;", "apos;")
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class ListPage(NamedTuple):
    """One page of a listing. ``next_token`` is None on the last page.

    Attributes:
        folders: Of a listing with a delimiter: the common prefixes, without the requested prefix and the delimiter.
    """

    objects: tuple[ObjectInfo, ...]
    next_token: str | None
    folders: tuple[str, ...] = ()


class UploadedPart(NamedTuple):
    """A part that the service holds; ``crc32c`` if it was sent with one."""

    number: int
    etag: str
    size: int
    crc32c: int | None = None


class _Element:
    """One element. Names are looked up without their namespace: services differ in it."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        return self._element.tag.rpartition("}")[2]

    def all(self, name: str) -> Iterator[_Element]:
        return (_Element(child) for child in self._element if child.tag.rpartition("}")[2] == name)

    def text(self, name: str) -> str | None:
        for child in self._element:
            if child.tag.rpartition("}")[2] == name:
                return child.text or ""
        return None

    def flag(self, name: str) -> str:
        """``true`` or ``false`` in lower case; services differ."""
        return (self.text(name) or "").strip().lower()


def error_response(status: int, body: bytes, headers: dict[bytes, bytes]) -> ErrorResponse:
    """An error response; without a readable body, only its status and headers."""

    def header(name: bytes) -> str | None:
        value = headers.get(name)
        return None if value is None else value.decode("latin-1")

    root = _parsed(body)
    error = root if root is not None and root.name == "Error" else None
    request_id = header(b"x-amz-request-id") or header(b"x-amzn-requestid")
    return ErrorResponse(
        status=status,
        code=(error and error.text("Code")) or "",
        message=(error and error.text("Message")) or "",
        request_id=request_id or (error and error.text("RequestId")) or "",
        retry_after=header(b"retry-after"),
        server_time=error.text("ServerTime") if error else None,
        date=header(b"date"),
        bucket_region=header(b"x-amz-bucket-region") or (error.text("Region") if error else None),
        location=header(b"location") if 300 <= status < 400 else None,
    )


def list_page(body: bytes, operation: Operation, own_prefix: str, prefix: str) -> ListPage:
    """One page of ListObjectsV2; keys lose the store's ``own_prefix``.

    Args:
        prefix: The requested prefix; it begins with ``own_prefix``.

    Raises:
        InvalidResponse: not a complete page. An incomplete page is never treated as an empty one.
    """
    root = _root(body, operation, "ListBucketResult")
    url_encoded = root.text("EncodingType") == "url"
    objects = []
    for entry in root.all("Contents"):
        key, size = entry.text("Key"), entry.text("Size")
        if key is None or size is None or not _SIZE(size):
            raise _invalid(operation, "an entry without a key or a size")
        key = unquote_plus(key) if url_encoded else key  # AWS, MinIO and rclone write a space as "+"
        if not key.startswith(prefix):
            raise _invalid(operation, "a key without the requested prefix")
        objects.append(ObjectInfo(key[len(own_prefix) :], int(size), _seconds(entry.text("LastModified"))))
    token = _token(root, operation, "NextContinuationToken")
    return ListPage(tuple(objects), token, tuple(_folders(root, operation, prefix, url_encoded=url_encoded)))


def _folders(root: _Element, operation: Operation, prefix: str, *, url_encoded: bool) -> Iterator[str]:
    for common in root.all("CommonPrefixes"):
        text = common.text("Prefix") or ""
        folder = unquote_plus(text) if url_encoded else text
        if not folder.startswith(prefix):
            raise _invalid(operation, "a common prefix without the requested prefix")
        if name := folder[len(prefix) :].removesuffix("/"):
            yield name


def part_page(body: bytes, operation: Operation, marker: str) -> tuple[list[UploadedPart], str | None]:
    """The parts after ``marker`` (empty at the start), and the marker of the next page if there is one."""
    root = _root(body, operation, "ListPartsResult", "ListPartsResponse")  # moto says Response
    try:
        parts = [
            UploadedPart(
                int(part.text("PartNumber") or ""),
                etag,
                int(part.text("Size") or ""),
                decoded(part.text("ChecksumCRC32C") or "") if part.text("ChecksumCRC32C") else None,
            )
            for part in root.all("Part")
            if (etag := part.text("ETag"))  # a part without one is sent again
        ]
    except ValueError:
        raise _invalid(operation, "a part without a number or a size") from None
    # rclone leaves IsTruncated out; a part that is missed is only sent again.
    following = root.text("NextPartNumberMarker") if root.flag("IsTruncated") == "true" else None
    if following is not None and not (_SIZE(following) and int(following) > int(marker or 0)):
        raise InvalidResponse(f"{operation}: the listing of parts does not advance", key=operation.key)
    return parts, following


def upload_id(body: bytes, operation: Operation) -> str:
    """The id of a new multipart upload."""
    # rclone shortens the name.
    root = _root(body, operation, "InitiateMultipartUploadResult", "InitiateMultipartUpload")
    identifier = root.text("UploadId")
    if not identifier:
        raise _invalid(operation, "no upload id")
    return identifier


def session_credentials(body: bytes, operation: Operation) -> Credentials:
    """The credentials of a new session with a directory bucket."""
    root = _root(body, operation, "CreateSessionResult")
    for element in root.all("Credentials"):
        texts = [element.text(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
        if all(texts):
            access, secret, token = (text or "" for text in texts)
            return Credentials(access, secret, token, SESSION_TOKEN)
    raise _invalid(operation, "a session without credentials")


def check_completed(body: bytes, operation: Operation) -> None:
    """Check the body of a 200 to CompleteMultipartUpload: S3 sends the status first and may fail afterwards.

    Raises:
        StoreError: the error inside; InvalidResponse for anything else.
    """
    _root(body, operation, "CompleteMultipartUploadResult")


def check_written(body: bytes, operation: Operation) -> None:
    """Check the body of a 200 to a write or a deletion: empty, or neither an error nor a web page.

    Raises:
        StoreError: the error inside; InvalidResponse: the body is not XML.
    """
    if body.strip():
        root = _without_error(body, operation)
        if root is None or root.name.lower() == "html":
            raise _invalid(operation, "an unexpected body in a successful response; the object may be missing")


def check_gone(response: Response, operation: Operation) -> None:
    """Accept a 404 to DELETE if it is about the object or upload, not about a bucket or from a proxy."""
    if response.status == 200:
        check_written(response.body, operation)
    elif response.status == 404 and response.body:
        answer = error_response(response.status, response.body, response.headers)
        if answer.code not in ("NoSuchKey", "NoSuchUpload"):
            raise service_error(answer, operation)


def deletion_failures(body: bytes, operation: Operation) -> list[tuple[str, str, str]]:
    """(key, code, message) of each key that DeleteObjects could not delete."""
    root = _root(body, operation, "DeleteResult")
    failures = root.all("Error")
    return [(error.text("Key") or "", error.text("Code") or "", error.text("Message") or "") for error in failures]


def copied_etag(body: bytes, operation: Operation, name: str) -> tuple[str, int | None]:
    """ETag and, if given, CRC32C of a copy, from the element ``name``.

    Raises:
        StoreError: the error inside: as for ``check_completed``.
        StoreRefused: no such element: a service that ignores the header has written an empty object.
    """
    root = _without_error(body, operation)
    if root is None or root.name != name:
        raise StoreRefused(
            f"{operation}: this service does not support copies", key=operation.key, error_code="NotImplemented"
        )
    crc = root.text("ChecksumCRC32C")
    return root.text("ETag") or "", decoded(crc) if crc else None


def completion_body(parts: Sequence[UploadedPart]) -> bytes:
    """The body of CompleteMultipartUpload."""
    return (
        f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{"".join(map(_part, parts))}</CompleteMultipartUpload>'.encode()
    )


def _part(part: UploadedPart) -> str:
    checksum = "" if part.crc32c is None else f"<ChecksumCRC32C>{encoded(part.crc32c)}</ChecksumCRC32C>"
    return f"<Part>{checksum}<ETag>{_escaped(part.etag)}</ETag><PartNumber>{part.number}</PartNumber></Part>"


def delete_body(keys: Sequence[str]) -> bytes:
    """The body of DeleteObjects."""
    objects = "".join([f"<Object><Key>{_escaped(key)}</Key></Object>" for key in keys])
    return f'<Delete xmlns="{_NAMESPACE}"><Quiet>true</Quiet>{objects}</Delete>'.encode()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _token(root: _Element, operation: Operation, name: str) -> str | None:
    """The token of the next page; None at the end of the listing."""
    truncated = root.flag("IsTruncated")
    if truncated not in ("true", "false"):
        raise _invalid(operation, "a listing without IsTruncated")
    token = root.text(name)
    if truncated == "true" and not token:
        if root.text("KeyCount") is None:  # which every listing of version 2 has
            raise StoreRefused(f"{operation}: {VERSION_1}", error_code="NotImplemented")
        raise _invalid(operation, "a truncated listing without a NextContinuationToken")
    return token if truncated == "true" else None


def _without_error(body: bytes, operation: Operation) -> _Element | None:
    """The root of a successful response, or None without XML. An error in it is raised, at any status."""
    root = _parsed(body)
    if root is not None and root.name == "Error":
        raise service_error(error_response(500, body, {}), operation)
    return root


def _root(body: bytes, operation: Operation, *names: str) -> _Element:
    root = _without_error(body, operation)
    if root is None or root.name not in names:
        raise InvalidResponse(f"{operation}: expected a {names[0]}; {CHECK_ENDPOINT}", key=operation.key)
    return root


def _parsed(body: bytes) -> _Element | None:
    # White space that a service sends while it works stands before the declaration, which Expat refuses.
    text = body.strip()
    return _parsed_strictly(text) or _parsed_strictly(_without_named_entities(text))


def _parsed_strictly(text: bytes) -> _Element | None:
    from xml.etree import ElementTree

    try:
        # Expat bounds entity expansion itself since 2.4.1, and knows no external entities here.
        return _Element(ElementTree.fromstring(text))  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):  # LookupError: an encoding that Python lacks
        return None


def _without_named_entities(body: bytes) -> bytes:
    """``body`` with HTML's named characters as numbers: s3rver writes keys with names that XML lacks."""
    from html.entities import html5

    def numbered(match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        characters = "" if name in _XML_ENTITIES else html5.get(name, "")
        return "".join(f"&#{ord(character)};" for character in characters).encode() or match[0]

    return _NAMED_ENTITY.sub(numbered, body)


def _seconds(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def _invalid(operation: Operation, content: str) -> InvalidResponse:
    return InvalidResponse(f"{operation}: the response holds {content}", key=operation.key)
