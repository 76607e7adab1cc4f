"""Every verb refuses, in one line, a prefix that a service may store under one key and list under another."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import program

ID = "0" * 64
ODD = "s3://bucket/data//sets"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "us-east-1"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "--store", ODD, "tree"],
        ["push", "--store", "./store", "--objects-store", ODD, "tree"],
        ["pull", "--store", ODD, "--id", ID, "out"],
        ["fetch", "--store", ODD, "--id", ID],
        ["verify", "--store", ODD, "--id", ID],
        ["ls", ODD],
        ["log", ODD],
        ["sync", "--all", "--from", ODD, "--to", "./store"],
        ["sync", "--all", "--from", "./store", "--to", ODD],
        ["diff", "--from", ODD, "--to", "./store"],
        ["bench", ODD],
    ],
    ids=lambda arguments: " ".join(arguments[:4]).replace(ID, "ID"),
)
def test_every_verb_names_the_plain_prefix(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tree").mkdir()
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path)
    run = program(*arguments)
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr.count("\n") == 1
    assert run.stderr.endswith("write s3://bucket/data/sets\n")
