"""A bucket that lists by hash, in short pages that overlap: every verb says of it what it says of any other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run, cli
from tests.cli.test_sync import contents, made
from tests.e2e.scripted_s3 import ScriptedS3
from tests.unsorted import by_hash

STORE = "s3://bucket/sets"
COUNT = 9


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    with ScriptedS3(listed_by=by_hash, page_keys=4, overlap=2) as server:
        variables = {
            "SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIDCANARY",
            "AWS_SECRET_ACCESS_KEY": "canary",
            "SNAPDIR_RETRY_BASE_MS": "1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield server


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


def test_every_snapshot_is_listed(snapshots: list[str]) -> None:
    run = cli("ls", "--json", STORE)
    assert words(run) == set(snapshots)
    assert run.stdout.count("\n") == COUNT, "each once"


def test_the_whole_history_is_read_where_nobody_pushed(
    snapshots: list[str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "elsewhere"))
    monkeypatch.setenv("HOME", str(isolated / "nobody"))
    run = cli("log", "--json", STORE)
    assert re.findall('"id":"([0-9a-f]{64})"', run.stdout.replace(" ", "")) == snapshots[::-1]
    assert words(cli("revisions", "--location", STORE)) == set(snapshots)


def test_one_more_push_follows_the_latest_whatever_the_listing_ends_with(
    snapshots: list[str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "elsewhere"))
    monkeypatch.setenv("HOME", str(isolated / "nobody"))
    pushed = cli("push", "--store", STORE, str(made(isolated / "next", {"next": "one"}))).stdout.strip()
    run = cli("revisions", "--location", STORE)
    assert pushed in run.stdout
    assert f'"previous_id":"{snapshots[-1]}"' in run.stdout.replace(" ", "").splitlines()[0]


def test_all_is_copied_and_nothing_the_source_has_is_removed(snapshots: list[str], isolated: Path) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    assert words(cli("ls", "--json", str(target))) == set(snapshots)
    before = contents(target)
    run = cli("sync", "--all", "--delete", "--from", STORE, "--to", str(target))
    assert run.code == 0, run
    assert contents(target) == before
    assert words(cli("log", "--json", str(target))) == set(snapshots), "the history was copied too"


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


def test_what_the_source_really_lacks_goes(server: ScriptedS3, snapshots: list[str], isolated: Path) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    for path in [path for path in server.objects if snapshots[3][9:] in path and "/.manifests/" in path]:
        del server.objects[path]
    run = cli("sync", "--all", "--delete", "--from", STORE, "--to", str(target))
    assert "1 manifest(s) pruned" in run.stderr
    assert words(cli("ls", "--json", str(target))) == set(snapshots) - {snapshots[3]}


def test_verbs_that_name_a_snapshot_by_its_first_digits_find_it(snapshots: list[str], isolated: Path) -> None:
    for verb in (["verify"], ["fetch"], ["pull", str(isolated / "out")]):
        assert cli(verb[0], "--store", STORE, "--id", snapshots[4][:10], *verb[1:]).code == 0
    assert (isolated / "out" / "only-4").read_text() == "4" * 9


def test_whole_stores_are_compared(snapshots: list[str], isolated: Path) -> None:
    target = isolated / "copy"
    assert cli("sync", "--all", "--from", STORE, "--to", str(target)).code == 0
    run = cli("diff", "--from", STORE, "--to", str(target), "--exit-code", "--on-conflict", "last-wins")
    assert run == Run(0, "", ""), run
