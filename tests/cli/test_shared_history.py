"""The history that travels with a store, as the command line writes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Run, cli

A = "ab" * 32


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a").write_text("one")
    return folder


def push(tree: Path, *args: str) -> Run:
    done = cli("push", "--store", "./store", *args, str(tree))
    assert done.code == 0, done.stderr
    return done


def records() -> list[dict[str, object]]:
    """What is in the store's history, oldest first."""
    return [json.loads(file.read_text()) for file in sorted(Path("store").glob(".catalog/*/*/*.json"))]


def test_a_push_leaves_one_record_that_says_everything(tree: Path) -> None:
    snapshot_id = push(
        tree, "--derived-from", A, "--unchecked", "--note", "naïve", "--label", "split=train"
    ).stdout.strip()
    (record,) = records()
    assert list(record) == [
        "record_id", "event", "id", "location", "created_at", "previous_id", "derived_from", "note", "labels"
    ]  # fmt: skip
    assert record["id"] == snapshot_id
    assert record["location"] == f"file://{Path('store').absolute()}"
    assert (record["derived_from"], record["note"], record["labels"]) == ([A], "naïve", {"split": "train"})


def test_an_unchanged_push_leaves_none_and_a_changed_one_names_what_it_followed(tree: Path) -> None:
    first = push(tree).stdout.strip()
    push(tree)
    (tree / "b").write_text("two")
    push(tree)
    assert [record["previous_id"] for record in records()] == [None, first]


def test_a_snapshot_of_the_cache_is_recorded_as_well(tree: Path) -> None:
    staged = cli("stage", str(tree)).stdout.strip()
    assert records() == []
    assert cli("push", "--store", "./store", "--id", staged).code == 0
    assert [record["id"] for record in records()] == [staged]


@pytest.mark.parametrize("option", [["--no-shared-catalog"], ["--dryrun"]], ids=" ".join)
def test_who_wants_none_gets_none(tree: Path, option: list[str]) -> None:
    push(tree, *option)
    assert records() == []


def test_without_a_catalog_here_the_store_has_its_record(tree: Path, tmp_path: Path) -> None:
    for _ in range(2):
        snapshot_id = push(tree, "--catalog", "none").stdout.strip()
    assert [record["id"] for record in records()] == [snapshot_id]
    assert not list(tmp_path.rglob("*.sqlite3"))
    assert cli("revisions", "--location", "./store").stdout == ""
    assert json.loads(cli("log", "--json", "--catalog", "none", "./store").stdout)["id"] == snapshot_id
    push(tree, "--catalog", "none", "--no-shared-catalog", "--recheck")
    assert len(records()) == 1


def test_a_variable_turns_it_off(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_SHARED_CATALOG", "0")
    push(tree)
    assert records() == []
    monkeypatch.setenv("SNAPDIR_SHARED_CATALOG", "perhaps")
    done = cli("push", "--store", "./store", str(tree))
    assert done.code == 2
    assert "SNAPDIR_SHARED_CATALOG" in done.stderr


def test_what_is_kept_on_this_machine_only_is_in_its_catalog(tree: Path) -> None:
    snapshot_id = push(tree, "--no-shared-catalog").stdout.strip()
    assert json.loads(cli("log", "--json", "./store").stdout)["id"] == snapshot_id


def test_a_store_that_takes_no_record_is_a_warning(tree: Path) -> None:
    Path("store").mkdir()
    Path("store/.catalog").write_text("in the way")
    done = push(tree)
    assert len(done.stdout.strip()) == 64
    assert "--no-shared-catalog" in done.stderr
    assert done.stderr.count("\n") == 1
    assert cli("verify", "--store", "./store", "--id", done.stdout.strip()).code == 0


def test_a_broken_catalog_here_does_not_cost_the_store_its_history(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("no database" * 1000)
    done = push(tree, "--catalog", str(tmp_path / "broken"), "--note", "kept")
    assert "warning:" in done.stderr
    assert [record["note"] for record in records()] == ["kept"]


def test_a_fresh_machine_goes_on_from_the_newest_record(tree: Path, tmp_path: Path) -> None:
    ids = []
    for number in range(3):
        (tree / "a").write_text(str(number))
        ids.append(push(tree).stdout.strip())
        shutil.rmtree(tmp_path / "cache")
    assert [record["previous_id"] for record in records()] == [None, *ids[:2]]


def test_the_record_comes_after_the_manifest_and_the_id(tree: Path) -> None:
    """Where the manifest cannot be written, there is no record."""
    Path("store").mkdir()
    Path("store/.manifests").write_text("in the way")
    assert cli("push", "--store", "./store", str(tree)).code == 1
    assert records() == []


def test_sync_of_all_brings_the_history_along(tree: Path, tmp_path: Path) -> None:
    first = push(tree, "--note", "as delivered").stdout.strip()
    (tree / "b").write_text("two")
    second = push(tree, "--derived-from", first).stdout.strip()
    assert cli("sync", "--from", "./store", "--to", "./mirror", "--all").code == 0
    shutil.rmtree("store")
    asked = cli("ancestors", "--id", second, "--store", "./mirror", "--cache-dir", str(tmp_path / "elsewhere"))
    assert asked.code == 0, asked.stderr
    steps = [json.loads(line) for line in asked.stdout.splitlines()]
    assert {step["relation"] for step in steps} == {"derived", "history"}
    assert {step["id"] for step in steps} == {first}


@pytest.mark.parametrize("options", [["--no-shared-catalog"], ["--dryrun"]])
def test_sync_leaves_the_history_where_it_is_when_told(tree: Path, options: list[str]) -> None:
    push(tree)
    assert cli("sync", "--from", "./store", "--to", "./mirror", "--all", *options).code == 0
    assert not Path("mirror", ".catalog").exists()


def test_a_history_that_cannot_be_copied_is_a_warning(tree: Path) -> None:
    snapshot_id = push(tree).stdout.strip()
    Path("mirror").mkdir()
    Path("mirror", ".catalog").write_text("in the way")
    done = cli("sync", "--from", "./store", "--to", "./mirror", "--all")
    assert (done.code, done.stdout.split()) == (0, [snapshot_id])
    assert "not their history" in done.stderr
