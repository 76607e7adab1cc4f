"""Options for what an S3 bucket demands, in the words of the AWS CLI."""

from __future__ import annotations

from snapdir.cli.parameters import Flag, Setting, UniversalFlag, choice
from snapdir.stores.bucket_options import ACLS, ENCRYPTIONS, REQUESTER, kms_key, storage_class

__all__ = ["bucket"]

SECTION = "S3 buckets"


def bucket(*, writing: bool = False) -> list[Flag]:
    """How requests to a bucket are made; the options for what is written are shown where a verb writes to stores."""
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
            help="Send anonymous requests, without looking for credentials.",
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
            help=f"Server-side encryption of what is written: {', '.join(ENCRYPTIONS)}; default: as the bucket does.",
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
            help="Canned ACL of what is written, such as bucket-owner-full-control.",
        ),
        Setting(
            "--storage-class",
            metavar="<CLASS>",
            parse=storage_class,
            variable="SNAPDIR_STORAGE_CLASS",
            section=SECTION,
            help="Storage class of what is written, such as STANDARD_IA. GLACIER and DEEP_ARCHIVE go to objects only, "
            "which a pull needs restored.",
        ),
    ]
