"""snapdir log: the revisions of a store or a directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import cli


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a").write_text("one")
    (folder / "b").write_text("two")
    return folder


def run(*args: str) -> str:
    done = cli(*args)
    assert done.code == 0, done.stderr
    return done.stdout


def rows(*args: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("log", "--json", *args).splitlines()]


def three_pushes(tree: Path) -> list[str]:
    """A push, one that adds and changes a file, and one that takes a file away; newest last."""
    ids = [run("push", "--store", "./store", "--note", "first", str(tree)).strip()]
    (tree / "c").write_text("three")
    (tree / "a").write_text("changed")
    ids.append(run("push", "--store", "./store", "--label", "split=train", str(tree)).strip())
    (tree / "b").unlink()
    ids.append(run("push", "--store", "./store", "--derived-from", ids[0], str(tree)).strip())
    return ids


def test_every_push_is_a_row_with_what_it_changed(tree: Path) -> None:
    first, second, third = three_pushes(tree)
    found = rows("./store")
    keys = ("id", "previous_id", "size", "files", "added", "removed", "modified")
    assert [tuple(row[key] for key in keys) for row in found] == [
        (third, second, 12, 2, 0, 1, 0),
        (second, first, 15, 3, 1, 0, 1),
        (first, None, 6, 2, 2, 0, 0),
    ]
    assert [(row["note"], row["labels"], row["derived_from"]) for row in found] == [
        (None, {}, [first]),
        (None, {"split": "train"}, []),
        ("first", {}, []),
    ]


def test_the_fields_are_always_the_same_and_in_order(tree: Path) -> None:
    three_pushes(tree)
    names = ["created_at", "id", "previous_id", "event", "location", "size", "files", "added", "removed", "modified"]
    names += ["derived_from", "note", "labels"]
    assert [list(row) for row in rows("./store")] == [names] * 3


def test_piped_it_is_tab_separated(tree: Path) -> None:
    _, _, third = three_pushes(tree)
    header, newest, *_ = run("log", "./store").splitlines()
    assert header.split("\t") == ["date", "id", "size", "files", "added", "removed", "modified", "note", "labels"]
    assert newest.split("\t")[1:] == [third, "12", "2", "0", "1", "0", "", ""]


def test_a_limit_shows_the_newest_and_says_that_there_is_more(tree: Path) -> None:
    ids = three_pushes(tree)
    done = cli("log", "--json", "--limit", "2", "./store")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids[:0:-1]
    assert "--limit 0" in done.stderr
    assert len(rows("--limit", "0", "./store")) == 3


def test_the_store_option_and_every_spelling_of_a_store_mean_the_same(tree: Path) -> None:
    three_pushes(tree)
    expected = rows("./store")
    for spelling in ("store", f"file://{Path('store').absolute()}/", str(Path("store").absolute())):
        assert rows(spelling) == expected
    assert rows("--store", "./store") == expected


def test_a_machine_without_a_catalog_reads_it_from_the_store(tree: Path, tmp_path: Path) -> None:
    ids = three_pushes(tree)
    shutil.rmtree(tmp_path / "cache")
    assert [row["id"] for row in rows("./store")] == ids[::-1]
    assert [row["id"] for row in rows("--catalog", "none", "./store")] == ids[::-1]


def test_a_directory_tells_when_it_was_staged(tree: Path) -> None:
    first = run("stage", str(tree)).strip()
    (tree / "a").unlink()
    second = run("stage", str(tree)).strip()
    found = rows(str(tree))
    assert [(row["event"], row["id"], row["removed"]) for row in found] == [("stage", second, 1), ("stage", first, 0)]


def test_what_has_no_manifest_any_more_is_told_without_figures(tree: Path, tmp_path: Path) -> None:
    run("stage", str(tree))
    run("flush-cache")
    (row,) = rows(str(tree))
    assert [row[name] for name in ("size", "files", "added", "removed", "modified")] == [None] * 5
    assert run("log", str(tree)).splitlines()[1].split("\t")[2:] == [""] * 7


def test_no_history_is_said_on_stderr(tree: Path) -> None:
    done = cli("log", str(tree))
    assert (done.code, done.stdout.count("\n")) == (0, 1)
    assert "no revisions" in done.stderr
    assert "pushes from it are in the history of their store" in done.stderr


def test_nothing_to_show_is_a_usage_error() -> None:
    done = cli("log")
    assert (done.code, done.stdout) == (2, "")
    assert "--store" in done.stderr


def test_a_store_that_is_not_there_is_named() -> None:
    done = cli("log", "file:///no/such/store")
    assert (done.code, done.stdout) == (1, "")
    assert "/no/such/store" in done.stderr


def test_hostile_text_in_a_note_cannot_steer_a_terminal(tree: Path) -> None:
    run("push", "--store", "./store", "--note", "\x1b[31mred\ttab\nline", str(tree))
    _, row = run("log", "./store").splitlines()
    assert "\x1b" not in row
    assert row.split("\t")[7] == "\\x1b[31mred\\ttab\\nline"


def test_a_damaged_record_is_skipped_with_one_warning(tree: Path) -> None:
    ids = three_pushes(tree)
    folder = next(Path("store/.catalog").rglob("*.json")).parent
    (folder / f"25T000000.000-{'ab' * 16}.json").write_text('{"id": "../../../etc"}')
    (folder / f"25T000001.000-{'cd' * 16}.json").write_text("[" * 5000)
    done = cli("log", "--json", "--catalog", "none", "./store")
    assert done.code == 0
    assert len(done.stdout.splitlines()) == len(ids)
    assert done.stderr.count("warning:") == 1
    assert "2 record(s)" in done.stderr
