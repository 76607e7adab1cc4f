"""Credentials in a URL appear in no message and no record."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from snapdir import SnapdirError, blocking
from snapdir.catalog.locations import store_location
from snapdir.errors import AccessDenied, InvalidStore, secrets_of, without_secrets
from snapdir.stores.open import open_store
from snapdir.stores.urls import StoreURL
from tests.rclone_server import RcloneServer, s3_server

from .conftest import Run, cli, program
from .test_external import HONEST

__all__ = ["s3_server"]

SECRET = "PW/SECRET+x"
URLS = [
    f"s3://KEY:{SECRET}@bucket/pre",
    f"b2://KEY:{SECRET}@bucket",
    f"other://user:{SECRET}@host/x?token={SECRET}",
    "s3://SECRET@bucket/pre",
    "other://SECRET@host/x?SECRET&a=SECRET",
    "ssh://SECRET@host/x",
    f"file://user:{SECRET}@host/x",
    "file://SECRET@host",
    "file:user:SECRET@host",
    "SECRET@host/x",
    "SECRET:x@host",
    "S3:KEY:SECRET@bucket",
]
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "us-east-1"}
VERBS = [["push", "tree"], ["pull", "--id", "0" * 64, "out"], ["verify", "--id", "0" * 64], ["fetch", "--id", "0" * 64]]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb[0]))
def test_no_verb_shows_them(verb: list[str], url: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    run = program(*verb, "--store", url)
    assert run.code == 1
    assert run.stderr.count("\n") == 1
    assert "SECRET" not in run.stdout + run.stderr


def test_settings_hide_them() -> None:
    run = program("defaults", "--store", URLS[0], "--json")
    values = {fields["name"]: fields["value"] for fields in map(json.loads, run.stdout.splitlines())}
    assert values["store"] == "s3://…@bucket/pre"
    assert "SECRET" not in program("defaults", "--store", URLS[2]).stdout


async def test_an_error_hides_them_from_python_too() -> None:
    with pytest.raises(InvalidStore) as caught:
        async with open_store(URLS[0]):
            pass
    assert "SECRET" not in str(caught.value)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)


def test_the_address_of_a_proxy_hides_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HTTP_PROXY": "user:SECRET", "AWS_ENDPOINT_URL_S3": "http://192.0.2.1:1", **KEYS}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    run = program("ls", "s3://bucket")
    assert (run.code, run.stdout) == (2, "")
    assert "HTTP_PROXY" in run.stderr
    assert "SECRET" not in run.stderr


def test_a_record_has_none() -> None:
    assert store_location(StoreURL.parse(URLS[2])) == "other://…@host/x?token=…"
    assert store_location(StoreURL.parse("ssh://SECRET@host/x")) == "ssh://…@host/x"


def test_the_value_of_a_url_shows_none() -> None:
    assert repr(StoreURL.parse(URLS[2])) == 'StoreURL("other://…@host/x?token=…")'


@pytest.mark.parametrize("name", ["SNAPDIR_X_PASSPHRASE", "SNAPDIR_X_AUTH", "SNAPDIR_X_CREDENTIALS", "SNAPDIR_X_URL"])
def test_variables_of_others_are_hidden_as_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "other://SECRET@host")
    assert "SECRET" not in program("defaults").stdout + program("defaults", "--json").stdout


CANARIES = [
    "canary://user:CANARY@{}?token=CANARY&more=CANARY",
    "canary://CANARY@{}?CANARY",
    "canary://CANARY:CANARY@{}",
]


def shown_by(*args: str) -> Run:
    """What a run says, which is no canary."""
    run = cli(*args)
    assert "CANARY" not in run.stdout + run.stderr, args
    assert "internal error" not in run.stderr, args
    return run


@pytest.fixture
def canary_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store that is a program, which takes its URL with credentials."""
    file = tmp_path / "bin/snapdir-canary-store"
    file.parent.mkdir()
    file.write_text(HONEST.replace('root="${store#mock://}"', 'root="${store#*@}"; root="${root%%\\?*}"'))
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")
    return tmp_path / "outside"


@pytest.mark.parametrize("template", CANARIES)
def test_no_verb_shows_or_keeps_them(template: str, canary_store: Path, tmp_path: Path) -> None:
    url = template.format(canary_store)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    tree, out = str(tmp_path / "tree"), str(tmp_path / "out")
    pushed = shown_by("push", "--store", url, "--note", "first", "--verbose", tree)
    assert pushed.code == 0, pushed.stderr
    identifier = pushed.stdout.strip()
    named = ["--store", url, "--id", identifier]
    for command in (
        ["push", "--store", url, "--dryrun", tree],
        ["fetch", *named, "--verbose"],
        ["pull", *named, "--verbose", out],
        ["pull", *named, "--dryrun", "--delete", out],
        ["checkout", "--id", identifier, "--force", str(tmp_path / "again")],
        ["verify", *named],
        ["verify", *named, "--json"],
        ["status", out],
        ["status", "--json", out],
        ["locations"],
        ["revisions", "--store", url],
        ["log", url],
        ["log", "--json", url],
        ["ancestors", "--id", identifier],
        ["defaults", "--store", url],
        ["defaults", "--json", "--store", url, "--objects-store", url],
    ):
        shown_by(*command)
    for command in (
        ["ls", f"{url}@{identifier}"],
        ["size", f"{url}@{identifier}"],
        ["diff", "--from", url, "--to", tree, "--id", identifier],
        ["sync", "--from", url, "--to", "./other", "--id", identifier],
        ["bench", "--store", url],
        ["send-pack", "--store", url, "--id", identifier],
        ["objects-needed", "--store", url],
        ["pull", "--store", url, "--id", "0" * 64, str(tmp_path / "none")],
        ["verify", "--store", url, "--id", "0" * 64, "--json"],
        ["push", "--store", url, "--objects-store", url, tree],
    ):
        assert shown_by(*command).code != 0, command
    shutil.rmtree(tmp_path / "cache/.manifests")
    forgotten = shown_by("status", out)
    assert forgotten.code == 2
    assert "--store" in forgotten.stderr
    records = [file for file in (tmp_path / "cache/.checkouts").iterdir() if "canary" in file.read_text()]
    assert {stat.S_IMODE(record.stat().st_mode) for record in records} == {0o600}
    for file in tmp_path.rglob("*"):
        assert "CANARY" not in file.name
        assert not file.is_file() or b"CANARY" not in file.read_bytes(), file


def test_words_of_a_program_lose_them(canary_store: Path, tmp_path: Path) -> None:
    script = tmp_path / "bin/snapdir-canary-store"
    script.write_text('#!/bin/sh\necho "ERROR: login as user with CANARY1 and CANARY2 failed" >&2\nexit 3\n')
    (tmp_path / "tree").mkdir()
    run = program("push", "--store", f"canary://user:CANARY1@{canary_store}?token=CANARY2", str(tmp_path / "tree"))
    assert run.code == 1
    assert "login as user with … and … failed" in run.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("user:CANARY%40%2F1@{store}", "login with CANARY@/1"),
        ("{store}#access_token=CANARY", "bad token CANARY"),
        ("user:CANARY-of-some-length@{store}", "x" * 480 + " CANARY-of-some-length"),
    ],
)
def test_words_of_a_program_lose_them_decoded_in_a_fragment_and_where_they_are_cut(
    canary_store: Path, tmp_path: Path, url: str, words: str
) -> None:
    script = tmp_path / "bin/snapdir-canary-store"
    script.write_text(f'#!/bin/sh\necho "ERROR: {words}" >&2\nexit 3\n')
    (tmp_path / "tree").mkdir()
    run = program("push", "--store", f"canary://{url.format(store=canary_store)}", str(tmp_path / "tree"))
    assert run.code == 1
    assert "ERROR: " in run.stderr
    assert "CANARY" not in run.stderr


@pytest.mark.parametrize("debug", ["", "1"])
def test_words_of_a_helper_for_credentials_are_not_shown(
    debug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho CANARY >&2\nexit 1\n")
    helper.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {helper}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("SNAPDIR_DEBUG", debug)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    run = program("ls", "s3://bucket")
    assert run.code == 1
    assert "credential_process" in run.stderr
    assert "CANARY" not in run.stdout + run.stderr


async def test_words_of_a_helper_are_not_in_a_traceback_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho CANARY >&2\nexit 1\n")
    helper.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {helper}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AccessDenied) as raised:
        async with open_store("s3://bucket") as store:
            await store.stat("key")
    assert "CANARY" not in "".join(traceback.format_exception(raised.value))


S3_VERBS = """
snapdir push --store s3://$BUCKET/one --note first --verbose tree > id
snapdir pull --store s3://$BUCKET/one --id $(cat id) --verbose out
snapdir status --json out
snapdir verify --store s3://$BUCKET/one --id $(cat id)
snapdir sync --from s3://$BUCKET/one --to s3://$BUCKET/two --all --verbose
snapdir log --json s3://$BUCKET/one
snapdir defaults
snapdir ls s3://$BUCKET/absent
AWS_SECRET_ACCESS_KEY=CANARY-wrong snapdir push --json --store s3://$BUCKET/one tree
"""


def test_keys_of_a_bucket_stay_out_of_every_file(
    s3_server: RcloneServer,  # the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = s3_server.make_bucket("canaries")
    for name, value in {**s3_server.environment, "BUCKET": "canaries", "AWS_SESSION_TOKEN": "CANARY"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    define = f'snapdir() {{ "{sys.executable}" -m snapdir "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", define + S3_VERBS], cwd=tmp_path, capture_output=True, check=False, timeout=300
    )
    written = [file for place in (tmp_path, folder) for file in place.rglob("*") if file.is_file()]
    assert len((tmp_path / "id").read_text().strip()) == 64, done.stderr
    for data in (done.stdout, done.stderr, *(file.read_bytes() for file in written)):
        assert s3_server.secret_key.encode() not in data
        assert b"CANARY" not in data


SLASHED = [
    "s3://AKIAX:SE/CRET@bucket/p",
    "s3://AKIAX:SE/CRET@bucket",
    "s3://AKIAX:SE/CRET@" + "ab" * 32,
    "s3://AKIAX:SE/CRET@0123abcd",
    "s3://AKIAX:SE@CR/CRET@bucket/p",
    "foo://AKIAX:SE/CRET@host",
    "file://AKIAX:SE/CRET@host",
]
REFS = """
ls REF
ls --json REF
ls --progress json REF
ls --label a=b REF
cat REF file
cat --json REF file
diff REF .
diff . REF
size REF
size --json REF
log REF
report REF --json
manifest REF
id REF
push REF
push tree REF
pull REF out
fetch REF
verify REF
sync REF ./x
sync --from REF --to ./x --all
locations REF
revisions REF
ancestors REF
status REF
tag REF
tag v1 REF --store ./x
tag --store REF v1
bench REF
""".strip().splitlines()


@pytest.mark.parametrize("url", SLASHED)
def test_a_secret_with_a_slash_is_not_taken_for_a_store_and_a_name(url: str) -> None:
    for line in REFS:
        run = cli(*(url if word == "REF" else word for word in line.split()))
        assert run.code != 0, line
        assert "internal error" not in run.stderr, line
        for part in ("AKIAX", "SE/", "SE@", "CRET"):
            assert part not in run.stdout + run.stderr, line


@pytest.mark.parametrize("url", SLASHED)
def test_nor_is_it_in_python(url: str) -> None:
    for call in (
        lambda: blocking.ls(url),
        lambda: blocking.cat(url, "file"),
        lambda: blocking.diff(url, "."),
        lambda: blocking.size(url),
        lambda: blocking.log(url),
        lambda: blocking.report(url),
        lambda: blocking.tags(url),
        lambda: blocking.resolve_id("v1", url),
        lambda: blocking.push(".", store=url),
        lambda: blocking.pull("ab" * 32, url, "out"),
    ):
        with pytest.raises(SnapdirError) as raised:
            call()
        shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
        for part in ("AKIAX", "SE/", "SE@", "CRET"):
            assert part not in shown


def test_words_of_a_program_lose_a_secret_before_any_at() -> None:
    assert {"user:pw", "pw", "pw@host/p"} <= set(secrets_of("foo://user:pw@host/p@v1"))


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/data@v1", "s3://bucket/a:b@c/d", "/data/x:y@z", "s3://bucket/p@" + "a" * 64, "file:///a:b@c",
     "s3://arn:aws:s3:us-west-2:123456789012:accesspoint:my-point/p@v1",
     "http://host:9000/x", "s3://bucket/is?it=x", "why? a:b@c"],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(f"error: {text}: no") == f"error: {text}: no"
