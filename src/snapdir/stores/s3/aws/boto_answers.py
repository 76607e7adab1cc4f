"""Successful answers of S3 as botocore parsed them, believed only where they make sense.

botocore reads any well-formed XML as an answer, and one without what it looks for as an empty answer. So does the page
of a proxy become "this bucket is empty"; a listing is therefore believed only with the fields that S3 always sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from snapdir.errors import InvalidResponse, StoreError, StoreRefused
from snapdir.stores.base import ObjectInfo
from snapdir.stores.s3.checksums import decoded
from snapdir.stores.s3.failures import CHECK_ENDPOINT, Asked, Refusal, refusal_error
from snapdir.stores.s3.transport import ListPage, UploadedPart

__all__ = [
    "NOT_S3",
    "copied",
    "list_page",
    "must_be_s3",
    "object_info",
    "refused_deletion",
    "required",
    "uploaded_parts",
]

Answer = Mapping[str, Any]

S3_HEADERS = frozenset({"etag", "last-modified", "x-amz-request-id", "x-amz-id-2"})
"""An answer about an object has some of them; the page of a login portal seldom has."""

NOT_S3 = f"this does not look like S3: {CHECK_ENDPOINT}"


def must_be_s3(asked: Asked, answer: Answer) -> None:
    """Raise InvalidResponse for a success that no S3 service would send."""
    if S3_HEADERS.isdisjoint(answer["ResponseMetadata"].get("HTTPHeaders", {})):
        raise _invalid(asked, f"a success without an ETag or a request id; {NOT_S3}")


def required(asked: Asked, answer: Answer, field: str) -> Any:
    """The value of a field that S3 always sends."""
    value = answer.get(field)
    if value is None:
        raise _invalid(asked, f"an answer without {field}; {NOT_S3}")
    return value


def copied(asked: Asked, answer: Answer, field: str) -> tuple[str, int | None]:
    """ETag and, where it is told, CRC32C of what the service copied.

    Raises:
        StoreRefused: not a word of a copy. A service that does not know the header takes the request for a write.
    """
    result = answer.get(field) or {}
    if "ETag" not in result:
        raise StoreRefused(f"{asked}: this service does not copy", key=asked.key, error_code="NotImplemented")
    crc = result.get("ChecksumCRC32C")
    return str(result["ETag"]), decoded(crc) if crc else None


def object_info(asked: Asked, answer: Answer) -> ObjectInfo:
    must_be_s3(asked, answer)
    size, modified = _size(asked, answer, "ContentLength"), _seconds(answer.get("LastModified"))
    return ObjectInfo(asked.key or "", size, modified, decoded(answer.get("ChecksumCRC32C", "")))


def list_page(asked: Asked, prefix: str, answer: Answer) -> ListPage:
    """One page, its keys without the store's prefix.

    Raises:
        InvalidResponse: not a page of this listing.
    """
    truncated = required(asked, answer, "IsTruncated")
    token = answer.get("NextContinuationToken")
    if truncated and not token:
        raise _invalid(asked, "a page that is not the last one does not say where the next one begins")
    objects = tuple(_listed(asked, prefix, item) for item in answer.get("Contents", ()))
    return ListPage(objects, token if truncated else None)


def _listed(asked: Asked, prefix: str, item: Answer) -> ObjectInfo:
    key, size = required(asked, item, "Key"), _size(asked, item, "Size")
    own = asked.target.prefix
    if not key.startswith(own + prefix):
        raise _invalid(asked, f"a listing of {own + prefix!r} holds {key[:200]!r}")
    return ObjectInfo(key[len(own) :], size, _seconds(item.get("LastModified")))


def refused_deletion(asked: Asked, answer: Answer) -> StoreError | None:
    """The first refusal in an answer that is a success as a whole."""
    for error in answer.get("Errors", ()):
        code = str(error.get("Code", ""))
        if code != "NoSuchKey":
            key = str(error.get("Key", ""))
            deleted = Asked(asked.target, asked.verb, key.removeprefix(asked.target.prefix))
            return refusal_error(Refusal(200, code, str(error.get("Message", ""))), deleted)
    return None


def uploaded_parts(asked: Asked, answer: Answer) -> tuple[list[UploadedPart], dict[str, str] | None]:
    """Parts of one page, and the parameters of the next one."""
    required(asked, answer, "UploadId")
    parts = [
        UploadedPart(
            required(asked, item, "PartNumber"),
            required(asked, item, "ETag"),
            required(asked, item, "Size"),
            decoded(item.get("ChecksumCRC32C", "")),
        )
        for item in answer.get("Parts", ())
    ]
    return parts, _following(asked, answer, {"PartNumberMarker": "NextPartNumberMarker"})


def _following(asked: Asked, answer: Answer, names: Mapping[str, str]) -> dict[str, Any] | None:
    if not answer.get("IsTruncated"):
        return None
    following = {name: answer[field] for name, field in names.items() if answer.get(field)}
    if not following or all(answer.get(name) == value for name, value in following.items()):
        raise _invalid(asked, "a page that is not the last one does not say where the next one begins")
    return following


def _size(asked: Asked, answer: Answer, field: str) -> int:
    size: int = required(asked, answer, field)
    if size < 0:
        raise _invalid(asked, f"a negative {field}")
    return size


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _invalid(asked: Asked, reason: str) -> InvalidResponse:
    return InvalidResponse(f"{asked}: {reason}", key=asked.key)
