"""Options that a bucket may require: encryption, ACL, storage class, requester pays. Names as in the AWS CLI."""

from __future__ import annotations

import re
from typing import NamedTuple

from snapdir.errors import InvalidOption
from snapdir.model.words import require_word

ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
    "log-delivery-write",
)
REQUESTER = "requester"

_STORAGE_CLASS = re.compile(r"[A-Z][A-Z0-9_]{0,63}").fullmatch
_KMS_KEY = re.compile(r"[A-Za-z0-9:/_.-]{1,2048}").fullmatch


class BucketOptions(NamedTuple):
    """Sent with requests to S3; other stores ignore them. None sends nothing.

    Attributes:
        sse: Server-side encryption of new objects: one of ENCRYPTIONS.
        sse_kms_key_id: Id, ARN or alias of the KMS key to encrypt with.
        acl: The canned ACL of new objects: one of ACLS.
        storage_class: The storage class of new objects, such as ``STANDARD_IA``.
        request_payer: REQUESTER if these credentials pay for requests to a Requester Pays bucket.
        sign: False makes requests anonymous, without looking for credentials.
    """

    sse: str | None = None
    sse_kms_key_id: str | None = None
    acl: str | None = None
    storage_class: str | None = None
    request_payer: str | None = None
    sign: bool = True

    def checked(self) -> BucketOptions:
        """These options, checked.

        Raises:
            InvalidOption: an attribute has a value that S3 does not define, or that contradicts another.
        """
        for name, words in {"sse": ENCRYPTIONS, "acl": ACLS, "request_payer": (REQUESTER,)}.items():
            if (value := getattr(self, name)) is not None:
                require_word(value, words, name)
        if self.storage_class is not None:
            storage_class(self.storage_class, "storage_class")
        if self.sse_kms_key_id is not None:
            kms_key(self.sse_kms_key_id, "sse_kms_key_id")
            if self.sse not in ENCRYPTIONS[1:]:
                raise InvalidOption(
                    "sse_kms_key_id (--sse-kms-key-id, SNAPDIR_SSE_KMS_KEY_ID) needs sse (--sse, SNAPDIR_SSE): aws:kms "
                    "or aws:kms:dsse"
                )
        return self


NO_BUCKET_OPTIONS = BucketOptions()


def storage_class(value: str, source: str) -> str:
    """``value``, checked to look like a storage class. Services have classes of their own.

    Raises:
        InvalidOption: It does not; the message names ``source``.
    """
    if not _STORAGE_CLASS(value):
        raise InvalidOption(f"invalid {source} {value!r}: expected a word such as STANDARD_IA")
    return value


def kms_key(value: str, source: str) -> str:
    """``value``, checked to look like a KMS key.

    Raises:
        InvalidOption: It does not; the message names ``source``.
    """
    if not _KMS_KEY(value):
        raise InvalidOption(f"invalid {source} {value!r}: expected the id, ARN or alias of a KMS key")
    return value
