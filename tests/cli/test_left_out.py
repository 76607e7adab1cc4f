"""Warnings name what a snapshot leaves out and what changes with every run; ids stay the same."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from snapdir.catalog.locations import catalog_file
from snapdir.disk.destination import Destination
from snapdir.model.paths import STAGING_NAME

from .conftest import Run, cli

BESIDE = f"{STAGING_NAME}-0123456789abcdef"


@pytest.fixture
def tree(isolated: Path) -> Path:
    root = isolated / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "sub" / "b").write_text("b")
    return root


@pytest.fixture
def store(isolated: Path) -> str:
    return f"file://{isolated}/store"


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


def command(verb: str, tree: Path, store: str) -> list[str]:
    return {
        "push": ["push", "--store", store, str(tree)],
        "push --dryrun": ["push", "--dryrun", "--store", store, str(tree)],
        "stage": ["stage", str(tree)],
        "stage --dryrun": ["stage", "--dryrun", str(tree)],
        "id": ["id", str(tree)],
        "manifest": ["manifest", str(tree)],
        "diff": ["diff", "--from", str(tree), "--to", str(tree)],
        "size": ["size", str(tree)],
        "ls": ["ls", str(tree)],
    }[verb]


VERBS = ["push", "push --dryrun", "stage", "stage --dryrun", "id", "manifest", "diff", "size", "ls"]
every_verb = pytest.mark.parametrize("verb", VERBS)
PRINTS_ID = ["push", "push --dryrun", "stage", "stage --dryrun", "id"]


@every_verb
def test_what_is_left_out_is_counted_and_named(verb: str, tree: Path, store: str) -> None:
    before = ok(*command(verb, tree, store)).stdout
    for number in range(2):
        (tree / f"broken{number}").symlink_to("nowhere")
    os.mkfifo(tree / "sub" / "pipe")
    run = ok(*command(verb, tree, store))
    assert run.stdout == before
    (line,) = [line for line in run.stderr.splitlines() if "left out" in line]
    assert line.startswith(f"warning: 3 entries of {tree} were left out: ")
    assert "2 broken links (./broken" in line
    assert "1 FIFO (./sub/pipe)" in line


@pytest.mark.parametrize("verb", ["push", "stage", "id", "manifest"])
def test_what_excludes_and_no_follow_leave_out_is_said(verb: str, tree: Path, store: str) -> None:
    (tree / "link").symlink_to("a")
    run = ok(*command(verb, tree, store), "--exclude", "./sub$", "--no-follow")
    assert f"2 entries of {tree} were left out" in run.stderr
    assert "1 excluded (./sub)" in run.stderr
    assert "1 link not followed (./link)" in run.stderr


def test_nothing_is_said_of_a_tree_that_is_there_whole(tree: Path, store: str) -> None:
    assert ok("id", str(tree)).stderr == ""
    assert ok("push", "--store", store, str(tree)).stderr == ""


def test_names_cannot_steer_a_terminal(tree: Path) -> None:
    os.mkfifo(tree / "\x1b[31mred")
    assert "\x1b" not in ok("id", str(tree)).stderr


def test_json_has_all_of_them(tree: Path) -> None:
    for number in range(12):
        (tree / f"broken{number}").symlink_to("nowhere")
    found = json.loads(ok("id", "--json", str(tree)).stdout)
    assert sorted(one["path"] for one in found["left_out"]) == sorted(f"./broken{number}" for number in range(12))
    assert {one["reason"] for one in found["left_out"]} == {"broken link"}


@pytest.mark.parametrize("verb", ["push", "push --dryrun", "stage", "id", "manifest"])
@pytest.mark.parametrize("pattern", ["PARENT", "TREE", "./.*"])
def test_an_exclude_that_leaves_nothing_stores_nothing(verb: str, pattern: str, tree: Path, store: str) -> None:
    named = {"PARENT": f"/{tree.parent.name}/", "TREE": "/tree"}.get(pattern, pattern)
    run = cli(*command(verb, tree, store), "--exclude", named)
    assert (run.code, run.stdout) == (1, "")
    assert repr(named) in run.stderr
    assert "./" in run.stderr
    assert not [*tree.parent.glob("store/.manifests/*"), *tree.parent.glob("cache/.manifests/*")]


def test_a_macro_that_fits_the_tree_is_named_as_it_was_typed(isolated: Path, store: str) -> None:
    (isolated / ".cache" / "data").mkdir(parents=True)
    (isolated / ".cache" / "data" / "file").touch()
    run = cli("push", "--store", store, "--exclude", "%common%", str(isolated / ".cache" / "data"))
    assert (run.code, run.stdout) == (1, "")
    assert "'%common%'" in run.stderr


def test_linked_directories_count_with_linked_files(tree: Path, store: str) -> None:
    (tree / "file").symlink_to("a")
    (tree / "directory").symlink_to("sub")
    assert "2 followed link(s)" in ok("push", "--store", store, str(tree)).stderr
    (tree / "file").unlink()
    pushed = ok("push", "--store", store, str(tree))
    assert "1 followed link(s)" in pushed.stderr
    assert "another id" not in pushed.stderr
    ok("pull", "--store", store, "--id", pushed.stdout.strip(), str(tree.parent / "out"))
    assert ok("id", str(tree.parent / "out")).stdout == pushed.stdout


@pytest.fixture
def unfinished(isolated: Path, store: str) -> Path:
    """A pull that failed, and has kept what it had."""
    source = isolated / "source"
    source.mkdir()
    (source / "small").write_text("small")
    (source / "large").write_bytes(bytes(range(256)) * 4096 * 3)
    identifier = ok("push", "--store", store, str(source)).stdout.strip()
    (damaged,) = [
        one for one in (isolated / "store" / ".objects").rglob("*") if one.is_file() and one.stat().st_size > 9
    ]
    damaged.chmod(0o600)
    with damaged.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"?")
    out = isolated / "out"
    assert cli("pull", "--keep", "--no-cache", "--store", store, "--id", identifier, str(out)).code == 1
    assert [*(out / STAGING_NAME).iterdir()]
    return out


@pytest.mark.parametrize("verb", PRINTS_ID)
def test_what_an_unfinished_pull_left_is_no_data(verb: str, unfinished: Path, isolated: Path) -> None:
    store = f"file://{isolated}/second"
    (unfinished / BESIDE).touch()
    run = ok(*command(verb, unfinished, store))
    assert "2 temporaries of a pull (" in run.stderr
    assert f"./{STAGING_NAME}" in run.stderr
    assert f"./{BESIDE}" in run.stderr
    (unfinished / BESIDE).unlink()
    for file in (unfinished / STAGING_NAME).iterdir():
        file.unlink()
    (unfinished / STAGING_NAME).rmdir()
    assert ok("id", str(unfinished)).stdout == run.stdout


def test_a_push_of_an_unfinished_pull_can_be_pulled(unfinished: Path, isolated: Path) -> None:
    store = f"file://{isolated}/second"
    pushed = ok("push", "--store", store, str(unfinished)).stdout.strip()
    ok("pull", "--store", store, "--id", pushed, str(isolated / "again"))
    assert ok("id", str(isolated / "again")).stdout.strip() == pushed


def test_a_status_and_a_diff_see_no_temporaries(tree: Path, store: str, isolated: Path) -> None:
    pushed = ok("push", "--store", store, str(tree)).stdout.strip()
    out = isolated / "out"
    ok("pull", "--store", store, "--id", pushed, str(out))
    (out / STAGING_NAME).mkdir()
    (out / STAGING_NAME / "part").touch()
    (out / "sub" / BESIDE).touch()
    assert ok("status", str(out)).stderr.startswith("clean: ")
    assert ok("diff", "--exit-code", "--from", f"{store}@{pushed}", "--to", str(out)).stdout == ""


def test_an_id_beside_a_running_pull_is_that_of_the_tree(tree: Path) -> None:
    before = ok("id", str(tree)).stdout
    stopped = threading.Event()
    rounds = 0

    def pull() -> None:
        """What another process does in the directory: temporaries come and go."""
        nonlocal rounds
        while not stopped.is_set() or not rounds:
            with Destination.open(tree) as destination:
                destination.staging.write("part", b"x" * 100)
                (tree / "sub" / BESIDE).write_bytes(b"x")
                destination.staging.discard("part")
                (tree / "sub" / BESIDE).unlink()
                destination.staging.remove()
            rounds += 1

    pulling = threading.Thread(target=pull)
    pulling.start()
    try:
        assert {ok("id", str(tree)).stdout for _ in range(40)} == {before}
    finally:
        stopped.set()
        pulling.join()


@pytest.mark.parametrize("dry", [[], ["--dryrun"]])
def test_a_cached_snapshot_that_no_pull_would_take_is_not_pushed(
    tree: Path, store: str, isolated: Path, dry: list[str]
) -> None:
    staged = ok("stage", str(tree)).stdout.strip()
    text = ok("manifest", str(tree)).stdout.replace("./sub/", f"./{STAGING_NAME}/")
    identifier = cli("id", stdin=text.encode()).stdout.strip()
    assert identifier != staged
    plant_manifest(isolated / "cache", identifier, text)
    run = cli("push", *dry, "--store", store, "--id", identifier)
    assert (run.code, run.stdout) == (1, "")
    assert "temporary files" in run.stderr
    assert not (isolated / "store" / ".manifests").exists()


def plant_manifest(place: Path, identifier: str, text: str) -> None:
    from snapdir.model.keys import manifest_key

    file = place / manifest_key(identifier)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class TestOwnPlaces:
    @pytest.mark.parametrize("verb", ["push", "push --dryrun", "stage", "id", "manifest"])
    @pytest.mark.parametrize("link", ["", "to the tree", "in the tree"])
    def test_a_cache_in_the_tree_is_warned_of_and_the_exclude_it_names_works(
        self, verb: str, link: str, tree: Path, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside = tree / "my cache, 100%"
        if link == "to the tree":
            (tree.parent / "alias").symlink_to("tree")
            monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tree.parent / "alias" / inside.name))
        elif link == "in the tree":
            inside = tree.parent / "elsewhere" / "cache"
            inside.parent.mkdir()
            (tree / "my link").symlink_to("../elsewhere")
            monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(inside))
        else:
            monkeypatch.setenv("SNAPDIR_CACHE_DIR", f"{tree}/sub/../{inside.name}")
        run = ok(*command(verb, tree, store))
        (line,) = [line for line in run.stderr.splitlines() if "is inside" in line]
        assert line.startswith("warning: the cache ")
        pattern = line.partition("--exclude '")[2].removesuffix("'")
        assert pattern.startswith("./my ")
        again = ok(*command(verb, tree, store), "--exclude", pattern)
        assert "is inside" not in again.stderr
        once_more = ok(*command(verb, tree, store), "--exclude", pattern)
        assert once_more.stdout == again.stdout

    def test_a_store_in_the_tree_is_warned_of_in_every_spelling(self, tree: Path, isolated: Path) -> None:
        (isolated / "alias").symlink_to("tree")
        (tree / "stores").mkdir()
        for store in (f"{tree}/store", f"{isolated}/alias/store", f"{isolated}/current/../tree/store"):
            run = ok("push", "--dryrun", "--store", f"file://{store}", str(tree))
            assert "the store " in run.stderr
            assert "--exclude './store$'" in run.stderr
            assert (
                ok("push", "--dryrun", "--store", f"file://{store}", str(isolated / "alias")).stderr.count("is inside")
                == 1
            )

    def test_a_pool_and_a_catalog_in_the_tree_are_warned_of(self, tree: Path, store: str) -> None:
        pool, catalog = f"file://{tree}/sub/pool", f"{tree}/history.db"
        first = ok("push", "--store", store, "--objects-store", pool, "--catalog", catalog, str(tree))
        assert f"the pool of objects {tree}/sub/pool is inside {tree}" in first.stderr
        assert f"the catalog {catalog} is inside {tree}" in first.stderr
        excludes = [word.strip("'") for word in first.stderr.split() if word.startswith("'./")]
        assert len(excludes) == 2
        options = [option for pattern in excludes for option in ("--exclude", pattern)]
        again = [
            ok("push", "--store", store, "--objects-store", pool, "--catalog", catalog, *options, str(tree))
            for _ in range(2)
        ]
        assert again[0].stdout == again[1].stdout
        assert "is inside" not in again[0].stderr

    def test_a_link_into_the_tree_is_warned_of_before_its_file_exists(self, tree: Path, isolated: Path) -> None:
        (isolated / "history.db").symlink_to("tree/history.db")
        run = ok("push", "--store", "./store", "--catalog", f"{isolated}/history.db", str(tree))
        assert f"the catalog {isolated}/history.db is inside {tree} (./history.db)" in run.stderr

    def test_a_place_with_two_names_is_warned_of_once(self, tree: Path, isolated: Path) -> None:
        (isolated / "alias").symlink_to("tree")
        stores = ("--store", f"{isolated}/alias/store", "--objects-store", f"{tree}/store")
        assert ok("push", *stores, str(tree)).stderr.count("is inside") == 1

    def test_a_catalog_in_a_cache_in_the_tree_is_told_with_the_cache(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tree / "cache"))
        assert str(catalog_file("default", tree / "cache")).startswith(str(tree))
        assert ok("stage", str(tree)).stderr.count("is inside") == 1

    def test_the_cache_of_a_home_that_is_pushed_is_warned_of(
        self, tree: Path, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tree))
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert "the default cache" not in ok("push", "--store", store, str(tree)).stderr
        (tree / ".cache" / "snapdir").mkdir(parents=True)
        assert "the default cache" in ok("push", "--store", store, str(tree)).stderr
        monkeypatch.delenv("SNAPDIR_CACHE_DIR")
        run = ok("push", "--store", store, str(tree))
        assert f"the cache {tree}/.cache/snapdir is inside {tree} (./.cache/snapdir)" in run.stderr
        assert "is inside" not in ok("push", "--store", store, "--exclude", "%common%", str(tree)).stderr

    def test_a_store_that_is_the_tree_itself_is_warned_of(self, tree: Path) -> None:
        assert f"the store {tree} is the tree itself" in ok("push", "--store", f"file://{tree}", str(tree)).stderr

    def test_places_beside_the_tree_are_nothing_to_speak_of(self, tree: Path) -> None:
        assert ok("push", "--store", f"file://{tree}s", str(tree)).stderr == ""
