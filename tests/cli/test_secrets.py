"""Credentials that somebody puts into a URL are shown by no message and kept in no record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snapdir.catalog.places import store_location
from snapdir.errors import InvalidStore, without_secrets
from snapdir.stores.open import open_store

from .conftest import program

SECRET = "PW/SECRET+x"
URLS = [f"s3://KEY:{SECRET}@bucket/pre", f"b2://KEY:{SECRET}@bucket", f"other://user:{SECRET}@host/x?token={SECRET}"]
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
    assert (run.code, run.stdout) == (1, "")
    assert "HTTP_PROXY" in run.stderr
    assert "SECRET" not in run.stderr


def test_a_record_has_none() -> None:
    assert store_location(URLS[2]) == "other://…@host/x?token=…"


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/data@v1", "s3://bucket/a:b@c/d", "/data/x:y@z", "s3://bucket/p@" + "a" * 64, "file:///a:b@c",
     "s3://arn:aws:s3:us-west-2:123456789012:accesspoint:my-point/p@v1",
     "http://host:9000/x", "s3://bucket/is?it=x", "why? a:b@c"],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(f"error: {text}: no") == f"error: {text}: no"
