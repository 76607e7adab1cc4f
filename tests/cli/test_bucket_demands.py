"""Headers that a bucket requires: on every request that needs them, and on no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from snapdir import blocking
from snapdir.config import Config
from snapdir.errors import InvalidOption

from .conftest import cli, one_line, program
from .demanding_s3 import CLASS, GIVEN, HEADERS, PAYER, STORE, Bucket, as_options


def by_options(_: pytest.MonkeyPatch, tree: Path) -> None:
    assert cli("push", "--store", STORE, *as_options(), str(tree)).code == 0


def by_variables(patch: pytest.MonkeyPatch, tree: Path) -> None:
    for name, value in GIVEN.items():
        patch.setenv(f"SNAPDIR_{name.upper()}", value)
    assert cli("push", "--store", STORE, str(tree)).code == 0


def by_config(_: pytest.MonkeyPatch, tree: Path) -> None:
    blocking.push(tree, STORE, config=Config().with_options(catalog="default", **GIVEN))


@pytest.mark.parametrize("push", [by_options, by_variables, by_config])
def test_what_is_demanded_goes_with_every_object_that_is_made(
    bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch, push: Callable[[pytest.MonkeyPatch, Path], None]
) -> None:
    push(monkeypatch, tree)
    assert len(bucket.made(".objects")) == 2, "one whole, one in parts"
    assert len(bucket.made(".manifests")) == len(bucket.made(".catalog")) == 1
    for request in bucket.seen:
        wanted = HEADERS if request.makes_an_object else {PAYER: HEADERS[PAYER]}
        assert {name: request.headers[name] for name in HEADERS if name in request.headers} == wanted, request.path
        assert all(map(request.signs, wanted)), request.path


def test_nothing_is_demanded_unasked(bucket: Bucket, tree: Path) -> None:
    assert cli("push", "--store", STORE, str(tree)).code == 0
    assert not [request for request in bucket.seen if set(HEADERS) & set(request.headers)]


def test_a_copy_that_the_service_makes_is_an_object_that_is_made(bucket: Bucket, tree: Path) -> None:
    snapshot_id = cli("push", "--store", STORE, str(tree)).stdout.strip()
    bucket.seen.clear()
    run = cli("sync", "--from", STORE, "--to", "s3://bucket/copy", "--id", snapshot_id, *as_options())
    assert run.code == 0
    copies = [request for request in bucket.made() if "x-amz-copy-source" in request.headers]
    assert copies
    assert all(HEADERS.items() <= request.headers.items() for request in bucket.made("copy"))


@pytest.mark.parametrize("verb", ["ls", "pull", "verify", "log", "diff", "sync"])
def test_every_verb_says_who_pays(bucket: Bucket, tree: Path, tmp_path: Path, verb: str) -> None:
    snapshot_id = cli("push", "--store", STORE, str(tree)).stdout.strip()
    bucket.seen.clear()
    lines = {
        "ls": ["ls", STORE],
        "pull": ["pull", "--no-cache", "--store", STORE, "--id", snapshot_id, str(tmp_path / "pulled")],
        "verify": ["verify", "--store", STORE, "--id", snapshot_id],
        "log": ["log", STORE],
        "diff": ["diff", f"{STORE}@{snapshot_id}", str(tree)],
        "sync": ["sync", "--from", STORE, "--to", str(tmp_path / "copy"), "--all"],
    }
    assert cli(*lines[verb], "--request-payer", "requester").code == 0
    assert bucket.seen
    assert all(request.headers.get(PAYER) == "requester" for request in bucket.seen)


@pytest.mark.parametrize(
    ("given", "on_manifest"), [("GLACIER", None), ("DEEP_ARCHIVE", None), ("GLACIER_IR", "GLACIER_IR")]
)
def test_manifests_and_history_stay_readable_when_objects_are_archived(
    bucket: Bucket, tree: Path, given: str, on_manifest: str | None
) -> None:
    assert cli("push", "--store", STORE, "--storage-class", given, str(tree)).code == 0
    assert {request.headers.get(CLASS) for request in bucket.made(".objects")} == {given}
    others = bucket.made(".manifests") + bucket.made(".catalog")
    assert {request.headers.get(CLASS) for request in others} == {on_manifest}


# Anonymous requests


def test_anonymous_requests_need_no_credentials_and_look_for_none(
    bucket: Bucket, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_id = cli("push", "--store", STORE, str(tree)).stdout.strip()
    bucket.seen.clear()
    asked = tmp_path / "asked"
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\ntouch {asked}\nexit 1\n")
    helper.chmod(0o700)
    (tmp_path / "config").write_text(f"[profile p]\nregion = eu-central-1\ncredential_process = {helper}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for variables in ({}, {"AWS_ACCESS_KEY_ID": ""}, {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "p"}):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("SNAPDIR_NO_SIGN_REQUEST", "1" if variables else "0")
        words = [] if variables else ["--no-sign-request"]
        destination = tmp_path / f"pulled-{len(variables)}"
        run = program("pull", "--no-cache", "--store", STORE, "--id", snapshot_id, *words, str(destination))
        assert (run.code, run.stderr) == (0, "")
        assert (destination / "small").read_bytes() == b"small"
    assert bucket.seen
    assert not [request for request in bucket.seen if request.is_signed or "x-amz-date" in request.headers]
    assert not asked.exists()


def test_an_anonymous_request_to_a_private_bucket_is_told_so(bucket: Bucket) -> None:
    bucket.refuses = lambda request: None if request.is_signed else (403, "AccessDenied", "Access Denied")
    assert cli("ls", STORE).code == 0
    line = one_line(cli("ls", "--no-sign-request", STORE))
    assert "leave out --no-sign-request (SNAPDIR_NO_SIGN_REQUEST) and give credentials" in line


# Bad values


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sse", "aes256", "expected AES256, aws:kms or aws:kms:dsse"),
        ("acl", "secret", "expected private, "),
        ("storage_class", "cold\r\nx: y", "expected a word such as STANDARD_IA"),
        ("sse_kms_key_id", "a b", "expected the id, ARN or alias of a KMS key"),
        ("request_payer", "owner", "expected requester"),
    ],
)
def test_a_value_that_s3_does_not_know_is_refused_at_once(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = f"--{name.replace('_', '-')}"
    run = cli("push", "--store", STORE, option, value)
    assert run.code == 2
    assert f"invalid {option}" in run.stderr
    assert said in run.stderr
    monkeypatch.setenv(f"SNAPDIR_{name.upper()}", value)
    assert f"invalid SNAPDIR_{name.upper()}" in cli("ls", STORE).stderr
    with pytest.raises(InvalidOption, match=f"invalid {name}.*{said}"):
        Config().with_options(**{name: value})


def test_a_key_needs_the_encryption_that_uses_it() -> None:
    for given in ([], ["--sse", "AES256"]):
        run = cli("push", "--store", STORE, "--sse-kms-key-id", "key", *given)
        assert run.code == 2
        assert "needs sse (--sse, SNAPDIR_SSE): aws:kms or aws:kms:dsse" in run.stderr


def test_a_store_of_another_kind_takes_no_notice(tree: Path, tmp_path: Path) -> None:
    run = cli("push", "--store", str(tmp_path / "store"), *as_options(), "--no-sign-request", str(tree))
    assert (run.code, run.stderr) == (0, "")
