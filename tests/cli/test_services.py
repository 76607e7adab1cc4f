"""Every command works on services that differ from AWS.

One leaves out everything that only AWS sends; the other lists by hash, in short pages that overlap.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, cli
from tests.cli.test_sync import contents, made
from tests.e2e.scripted_s3 import ScriptedS3
from tests.unsorted import by_hash

PLAIN = {"plain": True, "page_keys": 7}
VERSION_1 = {"list_version": 1, "page_keys": 7}
UNSORTED = {"listed_by": by_hash, "page_keys": 4, "overlap": 2}

STORE = "s3://bucket/some place"
LARGE = random.Random(3).randbytes((17 << 20) + 1)
SMALL = {f"file-{number}": str(number) for number in range(30)}
COUNT = 9


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    oddities: dict[str, Any] = request.param
    with ScriptedS3(**oddities) as server:
        variables = {
            "SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIDCANARY",
            "AWS_SECRET_ACCESS_KEY": "canary",
            "SNAPDIR_RETRY_BASE_MS": "1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield server


plain = pytest.mark.parametrize("server", [PLAIN], indirect=True, ids=["plain"])
unsorted = pytest.mark.parametrize("server", [UNSORTED], indirect=True, ids=["unsorted"])


def push(tree: Path) -> str:
    run = cli("push", "--store", STORE, "--part-size", "5MiB", str(tree))
    assert (run.code, run.stderr) == (0, ""), run
    return run.stdout.strip()


@pytest.fixture
def tree(isolated: Path) -> Path:
    made(isolated / "tree", {**SMALL, "empty": ""})
    (isolated / "tree" / "large").write_bytes(LARGE)
    return isolated / "tree"


@plain
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


@plain
def test_a_large_object_is_resumed(server: ScriptedS3, tree: Path) -> None:
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


@plain
def test_another_machine_sends_only_what_is_new(server: ScriptedS3, tree: Path, isolated: Path) -> None:
    push(tree)
    shutil.rmtree(isolated / "cache", ignore_errors=True)
    (tree / "new").write_text("one new file")
    before = server.requests["PUT"]
    push(tree)
    assert server.requests["PUT"] - before == 3, "the file, the manifest, the record of the history"


@pytest.mark.parametrize("server", [VERSION_1], indirect=True, ids=["version 1"])
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


@pytest.fixture
def snapshots(server: ScriptedS3, isolated: Path) -> list[str]:
    """The ids of some snapshots in the store, in the order they were pushed."""
    ids = []
    for number in range(COUNT):
        tree = made(isolated / "tree", {"same": "in all", f"only-{number}": str(number) * 9})
        run = cli("push", "--store", STORE, str(tree))
        assert run.code == 0, run
        ids.append(run.stdout.strip())
    return ids


def words(run: Run) -> set[str]:
    assert run.code == 0, run
    return set(re.findall("[0-9a-f]{64}", run.stdout))


@unsorted
def test_every_snapshot_is_listed(snapshots: list[str]) -> None:
    run = cli("ls", "--json", STORE)
    assert words(run) == set(snapshots)
    assert run.stdout.count("\n") == COUNT, "each once"


@unsorted
def test_the_whole_history_is_read_where_nobody_pushed(
    snapshots: list[str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "elsewhere"))
    monkeypatch.setenv("HOME", str(isolated / "nobody"))
    run = cli("log", "--json", STORE)
    assert re.findall('"id":"([0-9a-f]{64})"', run.stdout.replace(" ", "")) == snapshots[::-1]
    assert words(cli("revisions", "--location", STORE)) == set(snapshots)


@unsorted
def test_one_more_push_follows_the_latest_whatever_the_listing_ends_with(
    snapshots: list[str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "elsewhere"))
    monkeypatch.setenv("HOME", str(isolated / "nobody"))
    pushed = cli("push", "--store", STORE, str(made(isolated / "next", {"next": "one"}))).stdout.strip()
    run = cli("revisions", "--location", STORE)
    assert pushed in run.stdout
    assert f'"previous_id":"{snapshots[-1]}"' in run.stdout.replace(" ", "").splitlines()[0]


@unsorted
def test_all_is_copied_and_nothing_the_source_has_is_removed(snapshots: list[str], isolated: Path) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    assert words(cli("ls", "--json", str(target))) == set(snapshots)
    before = contents(target)
    run = cli("sync", "--all", "--delete", "--from", STORE, "--to", str(target))
    assert run.code == 0, run
    assert contents(target) == before
    assert words(cli("log", "--json", str(target))) == set(snapshots), "the history was copied too"


@unsorted
def test_a_manifest_that_is_only_not_listed_stays_and_is_an_error(
    server: ScriptedS3, snapshots: list[str], isolated: Path
) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    before = contents(target)
    digits = snapshots[3]
    server.unlisted = {name for path in server.objects if digits[9:] in (name := path.partition("/")[2])}
    assert server.unlisted
    for more in ([], ["--dryrun"]):
        run = cli("sync", "--all", "--delete", "--from", STORE, "--to", str(target), *more)
        assert run.code == 1
        assert f"has the snapshot {digits} but does not list it" in run.stderr
        assert contents(target) == before


@unsorted
def test_what_the_source_really_lacks_goes(server: ScriptedS3, snapshots: list[str], isolated: Path) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    for path in [path for path in server.objects if snapshots[3][9:] in path and "/.manifests/" in path]:
        del server.objects[path]
    run = cli("sync", "--all", "--delete", "--from", STORE, "--to", str(target))
    assert "1 manifest(s) pruned" in run.stderr
    assert words(cli("ls", "--json", str(target))) == set(snapshots) - {snapshots[3]}


@unsorted
def test_verbs_that_name_a_snapshot_by_its_first_digits_find_it(snapshots: list[str], isolated: Path) -> None:
    for verb in (["verify"], ["fetch"], ["pull", str(isolated / "out")]):
        assert cli(verb[0], "--store", STORE, "--id", snapshots[4][:10], *verb[1:]).code == 0
    assert (isolated / "out" / "only-4").read_text() == "4" * 9


@unsorted
def test_whole_stores_are_compared(snapshots: list[str], isolated: Path) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    run = cli("diff", "--from", STORE, "--to", str(target), "--exit-code", "--on-conflict", "last-wins")
    assert run == Run(0, "", ""), run
