"""status: a directory beside what was checked out into it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snapdir.disk.destination import Destination
from snapdir.errors import without_secrets
from snapdir.model.paths import Names

from .conftest import ID, Run, cli
from .test_diff import plant, push

BIG = "x" * 2**21
FILES = {"README.md": "read me", "train/0.bin": "zero", "train/1.bin": "one", "val/0.bin": "two", "big.bin": BIG}


@pytest.fixture
def store(isolated: Path) -> str:
    return f"file://{isolated}/store"


@pytest.fixture
def wanted(isolated: Path, store: str) -> str:
    return push(isolated / "store", FILES)


@pytest.fixture
def out(isolated: Path, store: str, wanted: str) -> Path:
    """A whole checkout."""
    assert cli("pull", "--store", store, "--id", wanted, "--no-cache", str(isolated / "out")).code == 0
    return isolated / "out"


TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def told(run: Run) -> Run:
    return Run(run.code, run.stdout, TIME.sub("TIME", run.stderr))


def status(out: Path, *options: str) -> tuple[int, list[str]]:
    run = cli("status", *options, str(out))
    lines = run.stdout.splitlines()
    assert not lines or lines.pop(0) == "state\tpath"
    return run.code, lines


def test_a_fresh_checkout_is_clean(out: Path, wanted: str, store: str) -> None:
    assert told(cli("status", str(out))) == Run(
        0, "", f"clean: {out} is {wanted}, checked out from {store} at TIME UTC\n"
    )
    found = json.loads(cli("status", "--json", str(out)).stdout)
    assert TIME.fullmatch(found.pop("recorded_at"))
    assert found == {
        "directory": str(out),
        "id": wanted,
        "store": store,
        "partial": None,
        "clean": True,
        "modified": [],
        "missing": [],
        "extra": [],
        "source": "checkout",
    }


@pytest.mark.parametrize("name", ["plain", "s?design=1&key=2", "a…b"])
def test_a_directory_that_is_the_store_is_remembered_as_it_is_called(name: str, isolated: Path) -> None:
    """A path holds no credentials, whatever it looks like."""
    identifier = push(isolated / name, FILES)
    store, out = f"file://{isolated}/{name}", isolated / "out"
    assert cli("pull", "--store", store, "--id", identifier, "--no-cache", str(out)).code == 0
    clean = f"clean: {out} is {identifier}, checked out from {without_secrets(store)} at TIME UTC\n"
    assert told(cli("status", str(out))) == Run(0, "", clean)
    assert json.loads(cli("status", "--json", str(out)).stdout)["store"] == store


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda out: (out / "README.md").write_text("READ ME"), "modified\t./README.md"),
        (lambda out: (out / "README.md").write_text("longer text"), "modified\t./README.md"),
        (lambda out: (out / "README.md").chmod(0o600), "modified\t./README.md"),
        (lambda out: (out / "big.bin").write_bytes(b"y" * 2**21), "modified\t./big.bin"),
        (lambda out: (out / "val").chmod(0o700), "modified\t./val/"),
        (lambda out: ((out / "README.md").unlink(), (out / "README.md").symlink_to("/etc")), "modified\t./README.md"),
        (lambda out: ((out / "README.md").unlink(), (out / "README.md").mkdir()), "modified\t./README.md"),
        (lambda out: (out / "README.md").unlink(), "missing\t./README.md"),
        (lambda out: (out / "mine").touch(), "extra\t./mine"),
        (lambda out: (out / "mine").symlink_to("nowhere"), "extra\t./mine"),
        (lambda out: (out / "mine").mkdir(), "extra\t./mine/"),
        (lambda out: ((out / "mine").mkdir(), (out / "mine" / "file").touch()), "extra\t./mine/file"),
    ],
)
def test_every_change_is_seen(change: Callable[[Path], object], row: str, out: Path) -> None:
    change(out)
    code, rows = status(out)
    assert (code, row in rows) == (1, True)
    state, path = row.split("\t")
    found = json.loads(cli("status", "--json", str(out)).stdout)
    assert (path in found[state], found["clean"]) == (True, False)


def test_a_directory_that_is_gone_takes_its_files_along(out: Path) -> None:
    for name in ("0.bin", "1.bin"):
        (out / "train" / name).unlink()
    (out / "train").rmdir()
    assert status(out) == (1, ["missing\t./train/", "missing\t./train/0.bin", "missing\t./train/1.bin"])


def test_a_partial_checkout_is_compared_with_what_it_was_asked_for(isolated: Path, store: str, wanted: str) -> None:
    out = isolated / "part"
    cli("pull", "--store", store, "--id", wanted, "--include", "*.bin", "--exclude", "big.bin", str(out))
    assert f"clean: {out} is {wanted} (--include *.bin --exclude big.bin), checked" in cli("status", str(out)).stderr
    (out / "big.bin").touch()
    (out / "notes.txt").touch()
    (out / "README.md").touch()
    assert status(out) == (0, [])
    (out / "train" / "2.bin").touch()
    (out / "val" / "0.bin").unlink()
    assert status(out) == (1, ["missing\t./val/0.bin", "extra\t./train/2.bin"])
    assert json.loads(cli("status", "--json", str(out)).stdout)["partial"] == "--include *.bin --exclude big.bin"


def test_a_directory_that_is_not_there_is_told_as_that(isolated: Path) -> None:
    assert cli("status", "nowhere").stderr.endswith("/nowhere: No such file or directory (os error 2)\n")


def test_the_files_of_other_shards_are_not_extra(isolated: Path, store: str, wanted: str) -> None:
    out = isolated / "shard"
    cli("pull", "--store", store, "--id", wanted, "--shard", "2/2", str(out))
    cli("pull", "--store", store, "--id", wanted, "--shard", "1/2", str(out))
    assert status(out) == (0, [])
    assert cli("status", "--id", wanted, "--store", store, str(out)).code == 0


def test_an_id_is_compared_with_whatever_was_checked_out(isolated: Path, store: str, wanted: str) -> None:
    tree = plant(isolated / "by-hand", {**FILES, "new": "new"})
    assert status(tree, "--id", wanted, "--store", store) == (1, ["extra\t./new"])
    assert status(tree, "--id", wanted[:10], "--store", store) == (1, ["extra\t./new"])
    for options, said in (
        ([], f"no checkout, push or stage of {tree} is recorded: name the snapshot with --id and --store"),
        (["--id", ID, "--store", store], f"manifest not found: {ID}"),
        (["--id", wanted], f"manifest not found: {wanted}"),
    ):
        run = cli("status", *options, str(tree))
        assert (run.code, run.stdout) == (2, "")
        assert said in run.stderr


def test_the_directory_may_be_reached_by_another_path(out: Path, isolated: Path, monkeypatch) -> None:
    (isolated / "link").symlink_to(out)
    assert status(isolated / "link") == (0, [])
    monkeypatch.chdir(out)
    assert cli("status").code == 0


def test_a_checkout_from_the_cache_asks_no_store(isolated: Path, store: str, wanted: str) -> None:
    cli("fetch", "--store", store, "--id", wanted)
    (isolated / "store").rename(isolated / "gone")
    cli("checkout", "--id", wanted, str(isolated / "out"))
    assert status(isolated / "out") == (0, [])


def test_a_linked_checkout_is_clean_until_a_link_leads_elsewhere(isolated: Path, store: str, wanted: str) -> None:
    cli("fetch", "--store", store, "--id", wanted)
    assert cli("checkout", "--linked", "--id", wanted, str(isolated / "out")).code == 0
    assert status(isolated / "out")[1] == []
    link = isolated / "out" / "README.md"
    target = os.readlink(isolated / "out" / "train" / "0.bin")
    link.unlink()
    link.symlink_to(target)
    assert status(isolated / "out") == (1, ["modified\t./README.md"])


def test_a_later_checkout_replaces_the_note(isolated: Path, store: str, wanted: str, out: Path) -> None:
    later = push(isolated / "store", {"only": "this"})
    cli("pull", "--store", store, "--id", later, str(out))
    code, rows = status(out)
    assert code == 1
    assert {row.split("\t")[0] for row in rows} == {"extra"}


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"include": 1}', b"\xff"])
def test_a_damaged_note_is_no_note(damage: bytes, out: Path, isolated: Path) -> None:
    for note in (isolated / "cache" / ".checkouts").iterdir():
        note.write_bytes(damage)
    run = cli("status", str(out))
    assert (run.code, run.stdout) == (2, "")
    assert "no checkout, push or stage of " in run.stderr


def test_a_directory_that_is_not_there_is_an_error(out: Path, isolated: Path) -> None:
    out.rename(isolated / "moved")
    run = cli("status", str(out))
    assert run.code == 2
    assert str(out) in run.stderr


def test_a_file_that_vanishes_before_it_is_read_is_in_flux(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = Destination.open_file

    def vanish(self: Destination, names: Names) -> int:
        (out / "/".join(names)).unlink()
        return opens(self, names)

    monkeypatch.setattr(Destination, "open_file", vanish)
    run = cli("status", "--json", str(out))
    assert (run.code, json.loads(run.stderr)["error"]) == (2, "IN_FLUX")


class TestAfterAPush:
    """The last known snapshot is the newer one of checkout, push and stage, read as it was then."""

    @pytest.fixture
    def tree(self, isolated: Path) -> Path:
        tree = plant(isolated / "tree", {**FILES, "notes.tmp": "scratch", "build/x": "x"})
        (tree / "link").symlink_to("README.md")
        return tree

    def test_a_pushed_directory_is_clean_until_it_changes(self, tree: Path, store: str) -> None:
        pushed = cli("push", "--store", store, str(tree)).stdout.strip()
        run = told(cli("status", str(tree)))
        assert (run.code, run.stdout) == (0, "")
        assert run.stderr.endswith(f"clean: {tree} is {pushed}, pushed to {store} at TIME UTC\n")
        (tree / "README.md").write_text("READ ME")
        (tree / "big.bin").chmod(0o600)
        (tree / "val" / "0.bin").unlink()
        (tree / "new").mkdir()
        (tree / "new" / "file").touch()
        (tree / "empty").mkdir()
        code, rows = status(tree)
        assert code == 1
        assert rows == [
            "modified\t./README.md",
            "modified\t./big.bin",
            "modified\t./link",
            "missing\t./val/0.bin",
            "extra\t./empty/",
            "extra\t./new/file",
        ]
        assert json.loads(cli("status", "--json", str(tree)).stdout)["source"] == "push"

    def test_the_options_of_the_push_count_again(self, tree: Path, store: str, isolated: Path) -> None:
        (isolated / "rules").write_text("*.tmp\n")
        walk = ["--ignore-from", str(isolated / "rules"), "--exclude", "./build$", "--no-follow"]
        cli("push", "--store", store, *walk, str(tree))
        (isolated / "rules").unlink()
        (tree / "more.tmp").touch()
        (tree / "build" / "y").touch()
        assert status(tree) == (0, [])
        (tree / "more").touch()
        assert status(tree) == (1, ["extra\t./more"])
        assert status(tree, "--ignore", "/more") == (0, [])

    def test_what_links_lead_to_counts_after_dereference(self, tree: Path, store: str) -> None:
        cli("push", "--dereference", "--store", store, str(tree))
        assert status(tree) == (0, [])
        (tree / "README.md").chmod(0o600)
        assert status(tree) == (1, ["modified\t./README.md", "modified\t./link"])

    @pytest.mark.parametrize("slash", ["", "/"])
    @pytest.mark.parametrize(("pushed", "compared"), [("tree", "name"), ("name", "tree"), ("name", "name")])
    def test_a_link_to_it_is_the_same_directory(
        self, pushed: str, compared: str, slash: str, tree: Path, store: str, isolated: Path
    ) -> None:
        (isolated / "name").symlink_to("tree")
        place = f"{isolated}/{compared}{slash}"
        cli("push", "--store", store, str(isolated / pushed))
        assert cli("status", place).code == 0
        (tree / "README.md").write_text("READ ME")
        (tree / "val").chmod(0o700)
        run = cli("status", place)
        rows = ["modified\t./README.md", "modified\t./link", "modified\t./val/"]
        assert (run.code, run.stdout.splitlines()[1:]) == (1, rows)

    def test_the_later_one_counts(self, out: Path, store: str, wanted: str) -> None:
        (out / "README.md").write_text("changed")
        assert status(out) == (1, ["modified\t./README.md"])
        pushed = cli("push", "--store", store, str(out)).stdout.strip()
        assert f"clean: {out} is {pushed}, pushed to" in cli("status", str(out)).stderr
        cli("pull", "--store", store, "--id", wanted, str(out))
        assert f"clean: {out} is {wanted}, checked out from" in cli("status", str(out)).stderr
        (out / "README.md").write_text("changed")
        staged = cli("stage", str(out)).stdout.strip()
        assert f"clean: {out} is {staged}, staged at" in cli("status", str(out)).stderr
        (out / "README.md").unlink()
        run = told(cli("status", str(out)))
        assert (run.stdout, run.stderr) == (
            "state\tpath\nmissing\t./README.md\n",
            f"compared with {staged}, staged at TIME UTC\n",
        )

    def test_a_dry_run_and_a_push_that_fails_are_not_remembered(self, tree: Path, store: str, isolated: Path) -> None:
        cli("push", "--dryrun", "--store", store, str(tree))
        (isolated / "file").touch()
        assert cli("push", "--store", f"file://{isolated}/file", str(tree)).code == 1
        assert cli("status", str(tree)).code == 2

    def test_an_older_note_of_a_checkout_is_read(self, out: Path, isolated: Path, wanted: str) -> None:
        notes = (isolated / "cache" / ".checkouts").iterdir()
        (note,) = (note for note in notes if json.loads(note.read_text())["directory"] == str(out))
        fields = json.loads(note.read_text())
        old = ("directory", "snapshot_id", "store", "objects_store", "include", "exclude", "shard")
        kept = {name: fields[name] for name in old} | {"checked_out_at": fields["recorded_at"]}
        note.write_text(json.dumps(kept))
        assert f"clean: {out} is {wanted}, checked out" in cli("status", str(out)).stderr
