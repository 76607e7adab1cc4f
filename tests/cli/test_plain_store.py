"""A service that leaves out everything that only AWS sends: every verb works there, and sends nothing twice."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import cli
from tests.cli.test_sync import contents, made
from tests.e2e.scripted_s3 import ScriptedS3

STORE = "s3://bucket/some place"
LARGE = random.Random(3).randbytes((17 << 20) + 1)
SMALL = {f"file-{number}": str(number) for number in range(30)}


@pytest.fixture
def oddities() -> dict[str, int]:
    return {"plain": True}


@pytest.fixture
def server(oddities: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    with ScriptedS3(page_keys=7, **oddities) as server:  # type: ignore[arg-type]
        variables = {
            "SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIDCANARY",
            "AWS_SECRET_ACCESS_KEY": "canary",
            "SNAPDIR_RETRY_BASE_MS": "1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield server


def push(tree: Path) -> str:
    run = cli("push", "--store", STORE, "--part-size", "5MiB", str(tree))
    assert (run.code, run.stderr) == (0, ""), run
    return run.stdout.strip()


@pytest.fixture
def tree(isolated: Path) -> Path:
    made(isolated / "tree", {**SMALL, "empty": ""})
    (isolated / "tree" / "large").write_bytes(LARGE)
    return isolated / "tree"


def test_every_verb_works(server: ScriptedS3, tree: Path, isolated: Path) -> None:
    identifier = push(tree)
    assert not server.uploads
    assert cli("pull", "--store", STORE, "--id", identifier, str(isolated / "out")).code == 0
    assert contents(isolated / "out") == contents(tree)
    assert cli("verify", "--store", STORE, "--id", identifier).code == 0
    assert identifier in cli("ls", STORE).stdout
    run = cli("sync", "--from", STORE, "--to", f"{STORE} else", "--id", identifier)
    assert run.code == 0, run
    assert cli("verify", "--store", f"{STORE} else", "--id", identifier).code == 0


def test_a_large_object_is_gone_on_with(server: ScriptedS3, tree: Path) -> None:
    def fail(handler: object) -> None:
        if sum(map(len, server.uploads.values())) == 2:
            raise ConnectionAbortedError

    server.before = fail  # type: ignore[assignment]
    run = cli("push", "--store", STORE, "--part-size", "5MiB", "--jobs", "1", str(tree))
    assert run.code == 1
    server.before = lambda _: None
    before = server.requests["PUT"]
    push(tree)
    assert server.requests["PUT"] - before <= len(SMALL) + 1 + 4, "two parts, the manifest, the record of the history"


def test_another_machine_sends_only_what_is_new(server: ScriptedS3, tree: Path, isolated: Path) -> None:
    push(tree)
    shutil.rmtree(isolated / "cache", ignore_errors=True)
    (tree / "new").write_text("one new file")
    before = server.requests["PUT"]
    push(tree)
    assert server.requests["PUT"] - before == 3, "the file, the manifest, the record of the history"


@pytest.mark.parametrize("oddities", [{"list_version": 1}])
@pytest.mark.parametrize("verb", ["push", "ls", "log", "sync"])
def test_a_store_that_lists_in_version_1_only_is_told_at_once(
    server: ScriptedS3, tree: Path, isolated: Path, verb: str
) -> None:
    for number in range(20):
        for folder in (".objects", ".manifests", ".catalog"):
            server.objects[f"bucket/some place/{folder}/{number:03x}/0"] = b"x"
    command = {
        "push": ("push", "--store", STORE, str(tree)),
        "ls": ("ls", STORE),
        "log": ("log", STORE),
        "sync": ("sync", "--all", "--from", STORE, "--to", str(isolated / "copy")),
    }[verb]
    before = server.requests["GET"]
    run = cli(*command)
    assert (run.code, run.stdout) == (1, ""), run
    assert "list-type=2" in run.stderr
    assert run.stderr.count("\n") == 1
    assert server.requests["GET"] - before <= 4
