"""Stores whose objects are in a pool that several of them share (checklist OBJ-01..12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, cli


@pytest.fixture
def tree(isolated: Path) -> Path:
    root = isolated / "tree"
    (root / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (root / name).write_text(f"content of {name}")
    return root


def objects(store: Path) -> set[Path]:
    return {file for file in (store / ".objects").rglob("*") if file.is_file()}


def manifests(store: Path) -> set[Path]:
    return {file for file in (store / ".manifests").rglob("*") if file.is_file()}


def push(tree: Path, store: Path, *more: str) -> str:
    run = cli("push", "--store", str(store), *more, str(tree))
    assert (run.code, run.stderr) == (0, ""), run
    return run.stdout.strip()


def re_id(directory: Path) -> str:
    return cli("id", str(directory)).stdout.strip()


def test_two_stores_share_the_objects_of_a_pool(isolated: Path, tree: Path) -> None:  # OBJ-01, OBJ-10
    pool = isolated / "pool"
    pooled = ("--objects-store", str(pool))
    first = push(tree, isolated / "one", *pooled)
    assert push(tree, isolated / "two", *pooled) == first
    assert [len(objects(pool)), len(objects(isolated / "one")), len(objects(isolated / "two"))] == [3, 0, 0]
    assert [len(manifests(pool)), len(manifests(isolated / "one")), len(manifests(isolated / "two"))] == [0, 1, 1]
    for store in ("one", "two"):
        destination = isolated / f"from-{store}"
        pulled = cli("pull", "--store", str(isolated / store), *pooled, "--no-cache", "--id", first, str(destination))
        assert (pulled.code, re_id(destination)) == (0, first)
    before = objects(pool)
    (tree / "a").write_text("changed")
    push(tree, isolated / "two", *pooled)
    assert before < objects(pool)
    assert len(objects(pool)) == 4


def test_a_fetched_split_snapshot_is_checked_out_offline(isolated: Path, tree: Path) -> None:  # OBJ-02
    where = ("--store", str(isolated / "store"), "--objects-store", str(isolated / "pool"))
    pushed = cli("push", *where, str(tree)).stdout.strip()
    assert cli("fetch", *where, "--id", pushed).code == 0
    assert cli("checkout", "--id", pushed, str(isolated / "out")).code == 0
    assert re_id(isolated / "out") == pushed


def test_the_flag_beats_the_variable_which_is_not_even_looked_at(
    isolated: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # OBJ-04, OBJ-05
    monkeypatch.setenv("SNAPDIR_OBJECTS_STORE", str(isolated / "from-variable"))
    push(tree, isolated / "store")
    assert len(objects(isolated / "from-variable")) == 3
    monkeypatch.setenv("SNAPDIR_OBJECTS_STORE", "custom://poison")
    push(tree, isolated / "other", "--objects-store", str(isolated / "pool"))
    assert len(objects(isolated / "pool")) == 3


@pytest.mark.parametrize("verb", ["fetch", "pull", "verify"])
def test_only_an_absent_object_without_a_pool_is_told_of_pools(
    verb: str, isolated: Path, tree: Path
) -> None:  # OBJ-06, OBJ-11, OBJ-12
    pool = isolated / "pool"
    pushed = push(tree, isolated / "store", "--objects-store", str(pool))

    def run(*more: str) -> Run:
        where = ["out"] if verb == "pull" else []
        return cli(verb, "--store", str(isolated / "store"), "--id", pushed, *more, *where)

    hinted = run()
    assert hinted.code == 1
    assert "--objects-store" in hinted.stderr
    assert "--from-objects" in hinted.stderr
    (isolated / "empty").mkdir()
    empty = run("--objects-store", str(isolated / "empty"))
    assert (empty.code, "object not found" in empty.stderr, "--objects-store" in empty.stderr) == (1, True, False)
    next(iter(sorted(objects(pool)))).chmod(0o644)
    next(iter(sorted(objects(pool)))).write_bytes(b"rotten")
    rotten = run("--objects-store", str(pool))
    assert rotten.code == 1
    assert "hash mismatch" in rotten.stderr or "integrity" in rotten.stderr


def test_an_unknown_snapshot_is_no_matter_of_pools(isolated: Path, tree: Path) -> None:
    push(tree, isolated / "store")
    run = cli("fetch", "--store", str(isolated / "store"), "--id", "0" * 64)
    assert (run.code, "--objects-store" in run.stderr) == (1, False)


@pytest.mark.parametrize("dry_run", [(), ("--dryrun",)])
def test_programs_outside_take_no_part_in_a_pool(dry_run: tuple[str, ...], isolated: Path, tree: Path) -> None:
    """OBJ-07"""
    pool, store = str(isolated / "pool"), str(isolated / "store")
    for where in (("custom://x", store), (pool, "custom://x")):
        run = cli("push", "--objects-store", where[0], "--store", where[1], *dry_run, str(tree))
        assert (run.code, run.stdout) == (1, "")
        assert "in-process stores (file/s3/b2/gcs)" in run.stderr
        assert "custom://x" in run.stderr
        assert pool not in run.stderr
    assert not (isolated / "pool").exists()


def test_a_pool_alone_is_no_store(isolated: Path, tree: Path) -> None:  # OBJ-08
    run = cli("push", "--objects-store", str(isolated / "pool"), str(tree))
    assert (run.code, "--store" in run.stderr) == (1, True)
    assert not (isolated / "pool").exists()


def test_a_misspelt_pool_is_told_before_any_work(isolated: Path, tree: Path) -> None:
    run = cli("push", "--objects-store", "backup", "--store", str(isolated / "store"), str(tree))
    assert run.code == 1
    assert run.stderr.startswith("error: resolving --objects-store: invalid store protocol: 'backup'")


def test_a_split_snapshot_verifies(isolated: Path, tree: Path) -> None:
    where = ("--store", str(isolated / "store"), "--objects-store", str(isolated / "pool"))
    pushed = cli("push", *where, str(tree)).stdout.strip()
    assert cli("verify", *where, "--id", pushed) == Run(0, "", "")
    damaged = min(objects(isolated / "pool"))
    damaged.unlink()
    assert cli("verify", *where, "--id", pushed).code == 1
    assert cli("verify", *where, "--id", pushed, "--repair-from", str(tree)).code == 0
    assert damaged.is_file()


def test_a_cached_snapshot_is_pushed_into_a_pool(isolated: Path, tree: Path) -> None:
    staged = cli("stage", str(tree)).stdout.strip()
    where = ("--store", str(isolated / "store"), "--objects-store", str(isolated / "pool"))
    assert cli("push", *where, "--id", staged).stdout == f"{staged}\n"
    assert (len(objects(isolated / "pool")), len(manifests(isolated / "store"))) == (3, 1)
