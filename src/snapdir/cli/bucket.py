"""Options that an S3 bucket may require, named as in the AWS CLI."""

from __future__ import annotations

from snapdir.cli.parameters import Flag, Setting, UniversalFlag, choice
from snapdir.stores.bucket_options import ACLS, ENCRYPTIONS, REQUESTER, kms_key, storage_class

__all__ = ["bucket"]

SECTION = "S3 buckets"


def bucket(*, writing: bool = False) -> list[Flag]:
    """Options of requests to a bucket. Those for new objects are hidden where a verb only reads stores."""
    written = _written()
    for option in written:
        option.hidden = not writing
    return [
        *written,
        Setting(
            "--request-payer",
            metavar="<WHO>",
            parse=choice(REQUESTER),
            variable="SNAPDIR_REQUEST_PAYER",
            section=SECTION,
            help=f"{REQUESTER}: these credentials pay for requests to a Requester Pays bucket.",
        ),
        UniversalFlag(
            "--no-sign-request",
            variable="SNAPDIR_NO_SIGN_REQUEST",
            section=SECTION,
            help="Send anonymous requests and look for no credentials.",
        ),
    ]


def _written() -> list[Flag]:
    return [
        Setting(
            "--sse",
            metavar="<KIND>",
            parse=choice(*ENCRYPTIONS),
            variable="SNAPDIR_SSE",
            section=SECTION,
            help=f"Server-side encryption of new objects: {', '.join(ENCRYPTIONS)}; default: that of the bucket.",
        ),
        Setting(
            "--sse-kms-key-id",
            metavar="<KEY>",
            parse=kms_key,
            variable="SNAPDIR_SSE_KMS_KEY_ID",
            section=SECTION,
            help="The KMS key for --sse aws:kms or aws:kms:dsse: its id, ARN or alias.",
        ),
        Setting(
            "--acl",
            metavar="<ACL>",
            parse=choice(*ACLS),
            variable="SNAPDIR_ACL",
            section=SECTION,
            help="Canned ACL of new objects, such as bucket-owner-full-control.",
        ),
        Setting(
            "--storage-class",
            metavar="<CLASS>",
            parse=storage_class,
            variable="SNAPDIR_STORAGE_CLASS",
            section=SECTION,
            help="Storage class of new objects, such as STANDARD_IA. GLACIER and DEEP_ARCHIVE apply to the contents of "
            "files only; restore those before a pull.",
        ),
    ]
