"""Bucket options as headers, and advice on options that a denied request may lack. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from snapdir.model.keys import OBJECTS
from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS, BucketOptions
from snapdir.stores.s3.target import S3Target

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE", "ARCHIVE"})
"""Storage classes without immediate access. Manifests and history are not stored in them."""

READS = frozenset({"GET", "HEAD", "LIST"})
KMS = "allow these credentials to use the KMS key (kms:GenerateDataKey, kms:Decrypt), or name another: --sse-kms-key-id"
ANONYMOUS = (
    "anonymous requests may not do that: leave out --no-sign-request (SNAPDIR_NO_SIGN_REQUEST) and give credentials"
)
PAYER = "--request-payer requester"

_EXPLICIT_DENY = re.compile(r"explicit(ly)? den(y|ies)").search


def headers_of_all(options: BucketOptions) -> Mapping[bytes, bytes]:
    """Headers of every request."""
    return _headers({b"x-amz-request-payer": options.request_payer})


def headers_of_new(options: BucketOptions, key: str) -> Mapping[bytes, bytes]:
    """Headers of requests that create an object at ``key``."""
    if options == NO_BUCKET_OPTIONS:  # by far the fastest way, for every object
        return {}
    is_archived = options.storage_class in ARCHIVES
    return headers_of_session(options) | _headers(
        {
            b"x-amz-acl": options.acl,
            b"x-amz-storage-class": options.storage_class if key.startswith(OBJECTS) or not is_archived else None,
        }
    )


def headers_of_session(options: BucketOptions) -> dict[bytes, bytes]:
    """Headers for the encryption of new objects; a directory bucket takes it from the session."""
    return _headers(
        {
            b"x-amz-server-side-encryption": options.sse,
            b"x-amz-server-side-encryption-aws-kms-key-id": options.sse_kms_key_id,
        }
    )


def denial_advice(target: S3Target, verb: str, message: str) -> str:
    """Advice about a request that was denied, from the service's message; empty if the message tells nothing.

    Args:
        verb: The operation, as errors name it.
    """
    if not target.options.sign:
        return ANONYMOUS
    if "kms:" in message:
        return KMS
    if not _EXPLICIT_DENY(message):
        return ""
    lacking = [] if verb in READS else _not_given_to_write(target.options)
    if target.options.request_payer is None:
        lacking.append(PAYER)
    return "a policy denies it" + (f"; it may require {', '.join(lacking)}" if lacking else "")


def _not_given_to_write(options: BucketOptions) -> list[str]:
    lacking = []
    if options.sse is None:
        lacking.append("--sse aws:kms (or AES256)")
    if options.sse_kms_key_id is None and options.sse != "AES256":
        lacking.append("--sse-kms-key-id")
    if options.acl is None:
        lacking.append("--acl bucket-owner-full-control")
    if options.storage_class is None:
        lacking.append("--storage-class")
    return lacking


def _headers(values: Mapping[bytes, str | None]) -> dict[bytes, bytes]:
    return {name: value.encode() for name, value in values.items() if value is not None}
