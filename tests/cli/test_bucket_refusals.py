"""Requests that a bucket refuses: the error names the missing option or the way out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import cli, one_line
from .demanding_s3 import STORE, Bucket, Refusal, Request, as_options

USER = "User: arn:aws:iam::1:user/u is not authorized to perform:"


def test_an_archived_object_is_to_be_restored_first(bucket: Bucket, tree: Path, tmp_path: Path) -> None:
    snapshot_id = cli("push", "--store", STORE, str(tree)).stdout.strip()
    (tree / "large").unlink()
    small = cli("push", "--store", STORE, str(tree)).stdout.strip()
    bucket.refuses = lambda request: (
        (403, "InvalidObjectState", "The operation is not valid for the object's storage class")
        if request.method == "GET" and ".objects" in request.path
        else None
    )
    line = one_line(cli("pull", "--no-cache", "--store", STORE, "--id", small, str(tmp_path / "pulled")))
    assert re.search(
        r"\.objects/.*InvalidObjectState.*restore the object first \(such as with `aws s3api restore-object`\)", line
    )
    assert (
        "restore the object first" in cli("pull", "--store", STORE, "--id", snapshot_id, str(tmp_path / "all")).stderr
    )


# Refusals


def deny(
    message: str, *methods: str, code: str = "AccessDenied", status: int = 403
) -> Callable[[Request], Refusal | None]:
    return lambda request: (status, code, message) if request.method in methods else None


EXPLICIT = f"{USER} s3:PutObject on resource: x with an explicit deny in a resource-based policy"


@pytest.mark.parametrize(
    ("given", "named", "not_named"),
    [
        ([], ["--sse aws:kms (or AES256)", "--sse-kms-key-id", "--acl", "--storage-class", "--request-payer"], []),
        (["--sse", "AES256"], ["--acl", "--storage-class"], ["--sse"]),
        (as_options()[:8], ["a policy denies it", "--request-payer requester"], ["--sse", "--acl", "--storage-class"]),
        (as_options(), ["a policy denies it"], ["--"]),
    ],
)
def test_an_explicit_deny_names_the_options_that_a_policy_may_ask_for(
    bucket: Bucket, tree: Path, given: list[str], named: list[str], not_named: list[str]
) -> None:
    bucket.refuses = deny(EXPLICIT, "PUT", "POST")
    (tree / "large").unlink()
    advice = one_line(cli("push", "--store", STORE, *given, str(tree))).partition("; ")[2]
    assert [word for word in named if word not in advice] == []
    assert [word for word in not_named if word in advice] == []


def test_an_explicit_deny_of_a_read_names_who_pays_and_nothing_that_is_for_writing(bucket: Bucket) -> None:
    bucket.refuses = deny(f"{USER} s3:ListBucket on resource: x with an explicit deny in a VPC endpoint policy", "GET")
    line = one_line(cli("ls", STORE))
    assert "; a policy denies it; it may require --request-payer requester" in line


def test_a_denied_key_is_named_as_such(bucket: Bucket, tree: Path, tmp_path: Path) -> None:
    (tree / "large").unlink()
    snapshot_id = cli("push", "--store", STORE, str(tree)).stdout.strip()
    bucket.refuses = deny(
        f"{USER} kms:GenerateDataKey on this resource because a policy explicitly denies access", "PUT"
    )
    line = one_line(cli("push", "--store", "s3://bucket/new", *as_options(), str(tree)))
    assert "(kms:GenerateDataKey, kms:Decrypt), or name another: --sse-kms-key-id" in line
    bucket.refuses = deny(f"{USER} kms:Decrypt on resource: key", "GET")
    line = one_line(cli("pull", "--no-cache", "--store", STORE, "--id", snapshot_id, str(tmp_path / "pulled")))
    assert "allow these credentials to use the KMS key" in line


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("KMS.DisabledException", "--sse-kms-key-id"),
        ("KMS.NotFoundException", "--sse-kms-key-id"),
        ("AccessControlListNotSupported", "leave out --acl"),
        ("InvalidStorageClass", "--storage-class"),
        ("InvalidEncryptionAlgorithmError", "--sse"),
    ],
)
def test_a_demand_that_the_bucket_does_not_know_is_named(bucket: Bucket, tree: Path, code: str, named: str) -> None:
    (tree / "large").unlink()
    bucket.refuses = deny("Because.", "PUT", code=code, status=400)
    assert named in one_line(cli("push", "--store", STORE, *as_options(), str(tree)))


def test_other_refusals_say_what_they_said_before(bucket: Bucket) -> None:
    bucket.refuses = deny("Access Denied", "GET")
    assert "check that the credentials (AWS_PROFILE or AWS_ACCESS_KEY_ID) may read and write there" in one_line(
        cli("ls", STORE)
    )


# Content-MD5


def wants_md5(request: Request) -> Refusal | None:
    if request.method != "PUT" or "content-md5" in request.headers:
        return None
    return (
        400,
        "InvalidRequest",
        "Content-MD5 HTTP header is required for Put Object requests with Object Lock parameters",
    )


def wants_md5_and_nothing_else(request: Request) -> Refusal | None:
    if any("checksum" in name for name in request.headers):
        return (400, "InvalidRequest", "unknown header")
    return wants_md5(request)


@pytest.mark.parametrize(("refuses", "refused"), [(wants_md5, 1), (wants_md5_and_nothing_else, 3)])
def test_a_bucket_that_wants_md5_gets_it_once_it_has_said_so(
    bucket: Bucket, tree: Path, tmp_path: Path, refuses: Callable[[Request], Refusal | None], refused: int
) -> None:
    bucket.refuses = refuses
    run = cli("push", "--jobs", "1", "--store", STORE, str(tree))
    assert (run.code, run.stderr) == (0, "")
    puts = [request for request in bucket.seen if request.method == "PUT"]
    assert len([request for request in puts if refuses(request)]) <= refused, "asked once, then remembered"
    for request in puts:
        if "content-md5" in request.headers:
            digest = hashlib.md5(request.body, usedforsecurity=False).digest()
            assert request.headers["content-md5"] == base64.b64encode(digest).decode()
    assert cli("pull", "--store", STORE, "--id", run.stdout.strip(), str(tmp_path / "pulled")).code == 0


def test_a_bucket_that_takes_crc32c_gets_no_md5(bucket: Bucket, tree: Path) -> None:
    assert cli("push", "--store", STORE, str(tree)).code == 0
    assert not [request for request in bucket.seen if "content-md5" in request.headers]


def test_a_bucket_that_wants_md5_in_vain_is_an_error(bucket: Bucket, tree: Path) -> None:
    (tree / "large").unlink()
    bucket.refuses = deny("Content-MD5 is required", "PUT", code="InvalidRequest", status=400)
    assert "Content-MD5 is required" in one_line(cli("push", "--store", STORE, str(tree)))
