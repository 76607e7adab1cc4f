"""diff on the command line: what it prints, what a reference may be, and how it exits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from .conftest import ID, Run, cli

Files = Mapping[str, str]
BEFORE = {"keep.txt": "same", "gone.txt": "gone", "changed.txt": "one"}
AFTER = {"keep.txt": "same", "changed.txt": "two!", "new.txt": "new"}


def plant(root: Path, files: Files) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    root.chmod(0o755)
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o644)
    return root


def push(store: Path, files: Files) -> str:
    """The id of a tree that ``store`` has now."""
    run = cli("push", "--store", f"file://{store}", str(plant(store.parent / "tree", files)))
    assert run.code == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture
def stores(isolated: Path) -> tuple[str, str]:
    """One with BEFORE, one with AFTER."""
    push(isolated / "from", BEFORE)
    push(isolated / "to", AFTER)
    return f"file://{isolated}/from", f"file://{isolated}/to"


def diff(before: str, after: str, *options: str) -> Run:
    return cli("diff", "--from", before, "--to", after, *options)


DIFFERENCES = "M\t./changed.txt\nD\t./gone.txt\nA\t./new.txt\n"


def test_rows_are_sorted_by_path_and_equal_files_are_left_out(stores: tuple[str, str]) -> None:  # DIF-01, DIF-13
    assert diff(*stores) == Run(0, DIFFERENCES, "")
    assert diff(*reversed(stores)).stdout == "M\t./changed.txt\nA\t./gone.txt\nD\t./new.txt\n"
    assert cli("diff", *stores).stdout == DIFFERENCES


def test_all_lists_equal_files(stores: tuple[str, str]) -> None:  # DIF-02, DIF-06
    assert diff(*stores, "--all").stdout == DIFFERENCES.replace("A\t", "=\t./keep.txt\nA\t")
    assert diff(stores[0], stores[0]) == Run(0, "", "")
    assert [line[0] for line in diff(stores[0], stores[0], "--all").stdout.splitlines()] == ["=", "=", "="]


@pytest.mark.parametrize("junk", [True, False])
def test_only_manifests_are_read(stores: tuple[str, str], isolated: Path, junk: bool) -> None:  # DIF-03
    for name in ("from", "to"):
        shutil.rmtree(isolated / name / ".objects")
        if junk:
            (isolated / name / ".objects").write_text("junk")
    assert diff(*stores).stdout == DIFFERENCES


def test_nothing_to_compare_is_said_and_never_equal(isolated: Path) -> None:
    run = cli("diff")
    assert (run.code, run.stdout) == (0, "")
    assert "nothing was compared: give FROM and TO" in run.stderr
    assert cli("diff", "--json").stdout == "[]\n"
    run = cli("diff", "--exit-code")
    assert (run.code, run.stdout) == (2, "")
    assert "--exit-code needs FROM and TO" in run.stderr


def test_the_exit_code_tells_equal_different_and_failed_apart(stores: tuple[str, str], isolated: Path) -> None:
    assert diff(*stores).code == 0  # DIF-04
    assert diff(*stores, "--exit-code") == Run(1, DIFFERENCES, "")
    assert diff(stores[0], stores[0], "--exit-code", "--all").code == 0
    missing = f"file://{isolated}/missing"
    assert diff(stores[0], missing, "--exit-code").code == 2
    assert diff(stores[0], missing).code == 1  # DIF-17
    assert str(isolated / "missing") in diff(stores[0], missing).stderr


def test_an_existing_empty_store_is_an_empty_side(stores: tuple[str, str], isolated: Path) -> None:  # DIF-05, DIF-18
    for name in ("empty", "empty2"):
        (isolated / name).mkdir()
    empty, empty2 = f"file://{isolated}/empty", f"file://{isolated}/empty2"
    assert diff(empty, empty2, "--exit-code") == Run(0, "", "")
    assert diff(stores[0], empty).stdout == "D\t./changed.txt\nD\t./gone.txt\nD\t./keep.txt\n"


def test_json_is_one_array_with_its_keys_in_order(isolated: Path) -> None:  # DIF-08, DIF-12
    names = ["Apple", "a file", "é", 'quote"', "back\\slash", "tab\t", "\x01", "\b", "ï\x7f"]
    push(isolated / "from", {"x": "x"})
    push(isolated / "to", {"x": "x", **dict.fromkeys(names, "new")})
    run = cli("diff", "--json", f"file://{isolated}/from", f"file://{isolated}/to")
    assert run.stdout.startswith('[{"status":"A","path":"./\\u0001"},{"status":"A","path":"./\\u0008"},')
    assert '"./é"' in run.stdout
    listed = sorted(f"./{name}" for name in names)
    assert json.loads(run.stdout) == [{"status": "A", "path": path} for path in listed]
    plain = cli("diff", f"file://{isolated}/from", f"file://{isolated}/to").stdout
    assert plain == "".join(f"A\t{path}\n" for path in listed)


def test_refs_of_one_side_are_united(stores: tuple[str, str], isolated: Path) -> None:  # DIF-09
    push(isolated / "more", {"keep.txt": "same", "new.txt": "new"})
    run = cli("diff", "--from", stores[0], "--from", f"file://{isolated}/more", "--to", stores[1])
    assert run.stdout == "M\t./changed.txt\nD\t./gone.txt\n"


def test_a_collision_names_the_file_and_prints_nothing(stores: tuple[str, str], isolated: Path) -> None:  # DIF-10
    push(isolated / "one", {"d/clash.txt": "1"})
    push(isolated / "two", {"d/clash.txt": "2"})
    sides = ["--from", f"file://{isolated}/one", "--from", f"file://{isolated}/two", "--to", f"file://{isolated}/two"]
    run = cli("diff", *sides)
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr.startswith(
        'error: intra-side conflict on --from: the path "./d/clash.txt" has differing content across two refs '
        "(collision); pass --on-conflict last-wins to let the last ref win"
    )
    assert cli("diff", "--exit-code", *sides).code == 2
    assert cli("diff", "--on-conflict", "last-wins", *sides) == Run(0, "", "")  # DIF-11
    assert cli("diff", "--on-conflict", "last-wins", *sides[2:4], *sides[:2], *sides[4:]).stdout == (
        "M\t./d/clash.txt\n"
    )
    assert cli("diff", "--on-conflict", "first-wins", *sides).code == 2


def test_of_the_snapshots_of_one_store_the_last_stored_wins(isolated: Path) -> None:
    import os

    store = isolated / "store"
    ids = [push(store, {"f.txt": text}) for text in ("first", "second", "third")]
    for seconds, wanted in enumerate([ids[2], ids[0], ids[1]]):
        manifest = store / ".manifests" / wanted[:3] / wanted[3:6] / wanted[6:9] / wanted[9:]
        os.utime(manifest, (1000 + seconds, 1000 + seconds))
    run = diff(f"file://{store}", f"file://{store}@{ids[1]}", "--on-conflict", "last-wins")
    assert run == Run(0, "", "")


def test_an_id_picks_one_snapshot_of_every_store_that_has_it(isolated: Path) -> None:  # DIF-14
    first = push(isolated / "from", {"f.txt": "v1"})
    second = push(isolated / "from", {"f.txt": "v2"})
    push(isolated / "to", {"f.txt": "v2"})
    stores = (f"file://{isolated}/from", f"file://{isolated}/to")
    run = diff(*stores, "--id", first)
    assert run.stdout == "M\t./f.txt\n"
    assert run.stderr == f"warning: {stores[1]} has no snapshot {first}: all its snapshots are compared\n"
    assert diff(*stores, "--id", second) == Run(0, "", "")
    assert diff(*stores, "--id", first[:10]).stdout == "M\t./f.txt\n"


def test_an_unknown_id_is_an_error(stores: tuple[str, str]) -> None:  # DER-27
    for run in (diff(*stores, "--id", ID), cli("diff", f"{stores[0]}@{ID}", stores[1]), cli("diff", ID, stores[1])):
        assert (run.code, run.stdout) == (1, "")
        assert f"manifest not found: {ID}" in run.stderr


def test_files_only_are_listed(isolated: Path) -> None:  # DIF-15, DIF-16
    push(isolated / "from", {"d/f": "1", "old/f": "1", "x": "file"})
    push(isolated / "to", {"d/f": "2", "new/f": "1", "x/inside": "file"})
    run = cli("diff", "--all", f"file://{isolated}/from", f"file://{isolated}/to")
    assert run.stdout == "M\t./d/f\nA\t./new/f\nD\t./old/f\nD\t./x\nA\t./x/inside\n"


def test_a_mode_is_a_modification_and_a_directorys_mode_is_none(isolated: Path) -> None:  # DIF-07, DIF-15
    tree = plant(isolated / "tree", {"d/f": "1"})
    cli("push", "--store", f"file://{isolated}/from", str(tree))
    (tree / "d").chmod(0o700)
    cli("push", "--store", f"file://{isolated}/to", str(tree))
    assert diff(f"file://{isolated}/from", f"file://{isolated}/to") == Run(0, "", "")
    (tree / "d" / "f").chmod(0o600)
    assert diff(f"file://{isolated}/from", str(tree)).stdout == "M\t./d/f\n"


@pytest.mark.parametrize("url", ["ssh://host/x", "sftp://host/x", "plugin://x"])
def test_stores_that_are_programs_are_refused(url: str, stores: tuple[str, str]) -> None:  # DER-28
    run = diff(url, stores[1])
    assert (run.code, run.stdout) == (1, "")
    assert (
        "sync requires in-process stores (file/s3/b2/gcs); external `snapdir-*-store` URLs are not supported: "
        f"{url}\n" in run.stderr
    )


def test_references_of_every_kind_name_one_snapshot(isolated: Path) -> None:
    wanted = push(isolated / "from", AFTER)
    push(isolated / "from", BEFORE)
    tree = plant(isolated / "tree", AFTER)
    store = f"file://{isolated}/from"
    for ref in (f"{store}@{wanted}", f"{store}@{wanted[:8]}", f"{isolated}/from@{wanted}", str(tree), "../tree"):
        assert cli("diff", ref, str(tree)) == Run(0, "", ""), ref
    assert cli("diff", wanted, str(tree)).code == 1
    assert cli("diff", "--store", store, wanted, str(tree)) == Run(0, "", "")
    cli("fetch", "--store", store, "--id", wanted, "--include", "new.txt")
    assert cli("diff", wanted, str(tree)) == Run(0, "", "")
    run = cli("diff", f"{store}@{wanted}", "../nowhere")
    assert run.code == 1
    assert "/nowhere; check the path" in run.stderr


@pytest.mark.parametrize("args", [["diff", "nowhere", "."], ["size", "nowhere"], ["ls", "nowhere"]], ids=" ".join)
def test_a_directory_that_is_not_there_is_told_as_that(args: list[str], isolated: Path) -> None:
    run = cli(*args)
    assert (run.code, run.stdout) == (1, "")
    assert "'nowhere' is neither a directory here, a store nor an id; write STORE, STORE@ID, " in run.stderr


def test_a_path_with_an_at_sign_is_a_path(isolated: Path) -> None:
    for name in ("data@home", f"data@{ID}", "data@deadbeef"):
        tree = plant(isolated / name, AFTER)
        assert cli("diff", str(tree), f"../{name}") == Run(0, "", "")
    wanted = push(isolated / "store@home", AFTER)
    for ref in (f"file://{isolated}/store@home@{wanted}", f"{isolated}/store@home@{wanted}"):
        assert cli("diff", ref, str(isolated / "data@home")) == Run(0, "", "")
    push(isolated / f"odd@{ID}", AFTER)
    for ref in (f"file://{isolated}/odd@{ID}", f"{isolated}/odd@{ID}", f"file://{isolated}/odd@{ID}/"):
        assert cli("diff", ref, str(isolated / "data@home")) == Run(0, "", "")


def test_renames_are_found_by_content_when_asked_for(isolated: Path) -> None:
    push(isolated / "from", {"a/x": "moved", "b/y": "moved", "empty": "", "old": "one", "kept": "kept"})
    push(isolated / "to", {"c/y": "moved", "c/z": "moved", "empty2": "", "new": "one", "kept": "kept", "more": "kept"})
    stores = (f"file://{isolated}/from", f"file://{isolated}/to")
    assert "R" not in diff(*stores).stdout
    run = diff(*stores, "--renames")
    assert run.stdout.splitlines() == [
        "R\t./b/y\t./c/y",
        "R\t./a/x\t./c/z",
        "D\t./empty",
        "A\t./empty2",
        "A\t./more",
        "R\t./old\t./new",
    ]
    assert json.loads(diff(*stores, "--renames", "--json").stdout)[0] == {
        "status": "R",
        "path": "./c/y",
        "from": "./b/y",
    }


def test_stat_sums_up(stores: tuple[str, str]) -> None:
    rows = [line.split("\t") for line in diff(*stores, "--stat", "--all").stdout.splitlines()]
    assert rows == [
        ["change", "files", "bytes_before", "bytes_after"],
        ["added", "1", "0", "3"],
        ["deleted", "1", "4", "0"],
        ["modified", "1", "3", "4"],
        ["unchanged", "1", "4", "4"],
        ["new content", "2", "0", "7"],
    ]
    assert json.loads(diff(*stores, "--stat", "--json").stdout) == {
        "added": {"files": 1, "bytes_before": 0, "bytes_after": 3},
        "deleted": {"files": 1, "bytes_before": 4, "bytes_after": 0},
        "modified": {"files": 1, "bytes_before": 3, "bytes_after": 4},
        "new_content": {"objects": 2, "bytes": 7},
    }
    assert diff(*stores, "--stat", "--exit-code").code == 1
    assert diff(stores[0], stores[0], "--stat", "--exit-code").code == 0


def test_name_only_prints_paths(stores: tuple[str, str]) -> None:
    assert diff(*stores, "--name-only").stdout == "./changed.txt\n./gone.txt\n./new.txt\n"


@pytest.mark.parametrize(
    "args",
    [
        ["a"],
        ["a", "b", "c"],
        ["--from", "a", "b", "c"],
        ["--name-only", "--json"],
        ["--name-only", "--stat"],
        ["--walk-jobs", "2"],
    ],
)
def test_a_wrong_command_line_is_told(args: list[str], isolated: Path) -> None:  # ARG-04
    run = cli("diff", *args)
    assert (run.code, run.stdout) == (2, "")
    assert "Usage: snapdir diff" in run.stderr


def test_a_directory_is_read_again_with_rehash(stores: tuple[str, str], isolated: Path) -> None:
    tree = str(plant(isolated / "plain", AFTER))
    for options in ((), ("--rehash",), ("--index-size", "0")):
        assert diff(stores[0], tree, *options) == Run(0, DIFFERENCES, "")
