"""size and ls: tables for people, the same facts for programs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from .conftest import ID, cli
from .test_diff import plant, push

FILES = {"a.txt": "same", "b.txt": "same", "sub/c.bin": "12345678", "sub/deep/d": "x"}


@pytest.fixture
def store(isolated: Path) -> str:
    return f"file://{isolated}/store"


@pytest.fixture
def snapshots(isolated: Path) -> list[str]:
    """Ids of two snapshots of ``store``, stored a day apart."""
    ids = [push(isolated / "store", FILES), push(isolated / "store", {**FILES, "e": "four"})]
    for day, wanted in enumerate(ids):
        file = isolated / "store" / ".manifests" / wanted[:3] / wanted[3:6] / wanted[6:9] / wanted[9:]
        os.utime(file, (day * 86400, day * 86400))
    return ids


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_size_counts_files_and_distinct_contents(store: str, snapshots: list[str], isolated: Path) -> None:
    tree = str(plant(isolated / "tree", FILES))
    refs = [f"{store}@{snapshots[0]}", store, tree]
    assert rows(cli("size", *refs).stdout) == [
        ["ref", "files", "logical_bytes", "objects", "physical_bytes"],
        [refs[0], "4", "17", "3", "13"],
        [refs[1], "9", "38", "4", "17"],
        [refs[2], "4", "17", "3", "13"],
    ]
    assert json.loads(cli("size", "--json", store).stdout) == {
        "ref": store,
        "files": 9,
        "logical_bytes": 38,
        "objects": 4,
        "physical_bytes": 17,
    }


def test_size_of_the_store_that_is_configured(store: str, snapshots: list[str]) -> None:
    assert rows(cli("size", "--store", store).stdout)[1][1] == "9"
    assert rows(cli("size", "--store", store, "--id", snapshots[0]).stdout)[1][1] == "4"
    assert rows(cli("size", "--store", store, snapshots[0]).stdout)[1][1] == "4"
    assert cli("size").code == 1
    assert cli("size", store, "--id", ID).code == 2


def test_the_store_option_names_no_directory(
    store: str, snapshots: list[str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(isolated)
    assert rows(cli("size", "--store", "./store").stdout)[1][0] == store
    for command in ("size", "ls"):
        run = cli(command, "--store", "store")
        assert run.code == 1
        assert "invalid store protocol: 'store'" in run.stderr


def test_an_empty_store_is_zeros_and_a_missing_one_an_error(isolated: Path) -> None:
    (isolated / "empty").mkdir()
    assert rows(cli("size", f"file://{isolated}/empty").stdout)[1][1:] == ["0", "0", "0", "0"]
    run = cli("size", f"file://{isolated}/missing")
    assert (run.code, run.stdout) == (1, "")
    assert str(isolated / "missing") in run.stderr


def test_ls_lists_the_snapshots_of_a_store_by_date(store: str, snapshots: list[str], isolated: Path) -> None:
    shutil.rmtree(isolated / "store/.catalog")
    columns = ["stored_at", "id", "files", "logical_bytes", "objects", "physical_bytes", "names", "note", "labels"]
    asked = ("--catalog", "none")
    assert rows(cli("ls", *asked, store).stdout) == [
        [*columns, "pushed_at"],
        ["1970-01-02 00:00:00", snapshots[1], "5", "21", "4", "17", "", "", "", ""],
        ["1970-01-01 00:00:00", snapshots[0], "4", "17", "3", "13", "", "", "", ""],
    ]
    second, first = map(json.loads, cli("ls", *asked, "--json", "--store", store).stdout.splitlines())
    assert (first["id"], second["stored_at"], second["files"]) == (snapshots[0], "1970-01-02 00:00:00", 5)


def test_ls_lists_the_newest_push_first(store: str, snapshots: list[str], isolated: Path) -> None:
    assert push(isolated / "store", FILES) == snapshots[0]
    listed = [json.loads(line) for line in cli("ls", "--json", store).stdout.splitlines()]
    logged = [json.loads(line) for line in cli("log", "--json", store).stdout.splitlines()]
    assert [row["id"] for row in listed] == [row["id"] for row in logged[:2]] == snapshots
    assert [row["pushed_at"] for row in listed] == [row["created_at"] for row in logged[:2]]


def paths(text: str) -> list[str]:
    return [row[-1] for row in rows(text)[1:]]


def test_ls_lists_what_lies_in_a_directory_of_a_snapshot(store: str, snapshots: list[str], isolated: Path) -> None:
    ref = f"{store}@{snapshots[0]}"
    assert paths(cli("ls", ref).stdout) == ["./a.txt", "./b.txt", "./sub/"]
    for path in ("sub", "./sub/", "sub/"):
        assert paths(cli("ls", ref, path).stdout) == ["./sub/c.bin", "./sub/deep/"]
    assert paths(cli("ls", "-R", ref, "sub").stdout) == ["./sub/c.bin", "./sub/deep/", "./sub/deep/d"]
    assert paths(cli("ls", ref, "a.txt").stdout) == ["./a.txt"]
    assert paths(cli("ls", str(plant(isolated / "tree", FILES))).stdout) == ["./a.txt", "./b.txt", "./sub/"]
    entry = json.loads(cli("ls", "--json", ref, "sub/c.bin").stdout)
    assert (entry["type"], entry["mode"], entry["size"], entry["path"]) == ("file", "644", 8, "./sub/c.bin")
    assert len(entry["checksum"]) == 64


def test_ls_takes_a_snapshot_by_its_option_too(store: str, snapshots: list[str]) -> None:
    asked = ("ls", "--store", store, "--id")
    assert paths(cli(*asked, snapshots[0]).stdout) == ["./a.txt", "./b.txt", "./sub/"]
    assert paths(cli(*asked, snapshots[0][:8], "sub").stdout) == ["./sub/c.bin", "./sub/deep/"]
    assert cli(*asked, snapshots[0], store, "sub").code == 2
    assert "manifest not found" in cli(*asked, ID).stderr


def test_ls_of_what_is_not_there(store: str, snapshots: list[str], isolated: Path) -> None:
    run = cli("ls", f"{store}@{snapshots[0]}", "sub/c")
    assert (run.code, run.stdout) == (1, "")
    assert "has no file 'sub/c'" in run.stderr
    assert cli("ls", f"{store}@{ID}").code == 1
    assert cli("ls", f"file://{isolated}/missing").code == 1
    for args in (["ls", store, "sub"], ["ls", "-R", store]):
        run = cli(*args)
        assert run.code == 2
        assert f"{store}@ID" in run.stderr


def test_an_empty_directory_and_an_empty_store_list_nothing(isolated: Path) -> None:
    (plant(isolated / "tree", {"f": "1"}) / "empty").mkdir()
    assert paths(cli("ls", str(isolated / "tree"), "empty").stdout) == []
    (isolated / "nothing").mkdir()
    run = cli("ls", f"file://{isolated}/nothing")
    assert (run.code, paths(run.stdout)) == (0, [])
    assert run.stderr == f"no snapshots in file://{isolated}/nothing: check the URL; `snapdir push` stores the first\n"


def test_too_few_digits_of_an_id_are_said_to_be_that(store: str, snapshots: list[str]) -> None:
    done = cli("ls", f"{store}@{snapshots[0][:7]}")
    assert done.code == 1
    assert "nor the first 8 or more of them" in done.stderr


def test_a_look_at_a_directory_is_not_recorded(isolated: Path) -> None:
    (isolated / "looked").mkdir()
    (isolated / "looked" / "a").write_text("x")
    assert cli("ls", str(isolated / "looked")).code == 0
    assert cli("revisions", "--location", str(isolated / "looked")).stdout == ""
