"""A read-only cache: histories can still be read, and errors name the way out."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snapdir.catalog.catalog import Catalog
from snapdir.model.sizes import MIB

from .conftest import Run, cli, heed_modes, program

DENIED = "Permission denied (os error 13)"
ADVICE = "choose another cache with --cache-dir or SNAPDIR_CACHE_DIR"
PULL_ADVICE = "or pull without --cache"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(bytes(2 * MIB))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


@pytest.fixture
def pushed(tree: Path, store: str) -> str:
    """The id of what another machine has pushed."""
    run = cli("push", "--store", store, "--cache-dir", "another", str(tree))
    assert run.code == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture
def seal(tmp_path: Path) -> Iterator[Callable[[Path, int], None]]:
    """Give a path another mode until the end of the test."""
    sealed = []

    def give(path: Path, mode: int) -> None:
        sealed.append(path)
        path.chmod(mode)

    yield give
    for path in reversed(sealed):
        path.chmod(0o755)


def read_only(cache: Path, seal: Callable[[Path, int], None]) -> None:
    cache.mkdir()
    seal(cache, 0o555)


def hidden(cache: Path, seal: Callable[[Path, int], None]) -> None:
    cache.mkdir()
    seal(cache, 0o000)


def impossible(cache: Path, seal: Callable[[Path, int], None]) -> None:
    """It is not there, and may not be made: a home that belongs to another user."""
    seal(cache.parent, 0o555)


SPOILED = [read_only, hidden, impossible]
Spoil = Callable[[Path, Callable[[Path, int], None]], None]


@pytest.fixture(params=SPOILED)
def cache(
    request: pytest.FixtureRequest, tmp_path: Path, seal: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """One that may not be written. Fixtures that push come first."""
    home = tmp_path / "sealed"
    home.mkdir()
    place = home / "cache"
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(place))
    request.param(place, seal)
    return place


def sealed(*args: str) -> Run:
    """As a user whom modes stop."""
    return program(*args, preexec_fn=heed_modes)


# What needs the cache says so


@pytest.mark.parametrize("verb", ["stage", "pull", "fetch"])
def test_a_verb_that_fills_the_cache_says_how_to_choose_another(
    tree: Path, tmp_path: Path, store: str, pushed: str, cache: Path, verb: str
) -> None:
    lines = {
        "stage": ["stage", str(tree)],
        "pull": ["pull", "--cache", "--store", store, "--id", pushed, str(tmp_path / "pulled")],
        "fetch": ["fetch", "--store", store, "--id", pushed],
    }
    run = sealed(*lines[verb])
    assert (run.code, run.stdout, run.stderr.count("\n")) == (1, "", 1), run
    assert DENIED in run.stderr
    assert ADVICE in run.stderr
    assert (PULL_ADVICE in run.stderr) == (verb == "pull")


@pytest.mark.parametrize(
    "line", [["verify-cache"], ["verify-cache", "--purge"], ["checkout", "--id", "ab" * 32, "out"]]
)
def test_a_verb_that_reads_a_cache_of_another_user_names_it(
    tmp_path: Path, seal: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "theirs"))
    hidden(tmp_path / "theirs", seal)
    run = sealed(*line)
    assert (run.code, run.stderr.count("\n")) == (1, 1)
    assert ADVICE in run.stderr


def test_a_cache_of_another_user_cannot_be_emptied(
    tmp_path: Path, tree: Path, seal: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "theirs"))
    assert cli("stage", str(tree)).code == 0
    for folder in [tmp_path / "theirs", *(path for path in (tmp_path / "theirs").rglob("*") if path.is_dir())]:
        seal(folder, 0o555)
    run = sealed("flush-cache")
    assert (run.code, run.stderr.count("\n")) == (1, 1)
    assert ADVICE in run.stderr


@pytest.mark.parametrize("flags", [[], ["--no-cache"]])
@pytest.mark.parametrize("digits", [64, 10])
def test_a_pull_without_a_cache_needs_none(
    tmp_path: Path, store: str, pushed: str, cache: Path, digits: int, flags: list[str]
) -> None:
    run = sealed("pull", *flags, "--store", store, "--id", pushed[:digits], str(tmp_path / "pulled"))
    assert (run.code, run.stderr.count("\n")) == (0, 1), run
    assert run.stderr.startswith("warning: this checkout is not recorded for `snapdir status")
    assert ADVICE in run.stderr
    assert (tmp_path / "pulled" / "small").read_bytes() == b"small"


def test_a_push_needs_no_cache(tmp_path: Path, tree: Path, store: str, pushed: str, cache: Path) -> None:
    (tree / "small").write_bytes(b"other")
    run = sealed("push", "--store", store, str(tree))
    assert (run.code, run.stderr.count("\n")) == (0, 1), run
    assert "--catalog" in run.stderr
    history = cli("log", "--cache-dir", "third", store).stdout
    assert run.stdout.strip() in history, "the store's own history has it"


def test_a_manifest_that_may_not_be_read_is_not_damaged(
    tmp_path: Path,
    tree: Path,
    store: str,
    pushed: str,
    seal: Callable[[Path, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "theirs"))
    hidden(tmp_path / "theirs", seal)
    run = sealed("status", "--id", pushed, "--store", store, str(tree))
    assert run.code == 0
    assert "cannot be read" in run.stderr
    assert "damaged" not in run.stderr


# Histories are read


@pytest.mark.parametrize("digits", [64, 12])
def test_a_history_is_read_where_no_cache_can_be(store: str, pushed: str, cache: Path, digits: int) -> None:
    lines = (
        ["log", store],
        ["revisions", "--location", store, "--store", store],
        ["ancestors", "--id", pushed[:digits], "--store", store],
    )
    for line in lines:
        run = sealed(*line)
        assert (run.code, pushed in run.stdout) == (0, line[0] != "ancestors"), run
        if cache.exists() and not stat.S_IMODE(cache.stat().st_mode):  # there may be a catalog in it
            assert run.stderr.startswith(
                f"warning: the local history cannot be used, only that of the store: catalog {cache}"
            )
            assert run.stderr.count("\n") == 1
        else:
            assert run.stderr == ""


def test_a_history_that_may_not_be_looked_for_is_an_error(tmp_path: Path, seal: Callable[[Path, int], None]) -> None:
    hidden(tmp_path / "cache", seal)
    run = sealed("locations")
    assert (run.code, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert f"{tmp_path}/cache/default-catalog.sqlite3" in run.stderr


def test_a_history_that_may_not_be_written_is_read_with_what_the_store_knows(
    tmp_path: Path, tree: Path, store: str, seal: Callable[[Path, int], None]
) -> None:
    """The catalog of another user: what it has, and what is new in the store, which it does not get."""
    mine = cli("push", "--store", store, str(tree)).stdout.strip()
    (tree / "small").write_bytes(b"other")
    theirs = cli("push", "--store", store, "--cache-dir", "another", str(tree)).stdout.strip()
    file = tmp_path / "cache" / "default-catalog.sqlite3"
    before = file.read_bytes()
    seal(file, 0o444)
    seal(file.parent, 0o555)
    run = sealed("log", store)
    assert (run.code, run.stderr) == (0, "")
    assert [line.split("\t")[1] for line in run.stdout.splitlines()[1:]] == [theirs, mine]
    run = sealed("ancestors", "--id", theirs, "--store", store)
    assert (run.code, run.stderr) == (0, "")
    assert mine in run.stdout
    assert mine in sealed("locations").stdout
    assert file.read_bytes() == before


def test_a_history_that_another_process_has_locked_is_read_with_what_the_store_knows(
    tmp_path: Path, tree: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = cli("push", "--store", store, str(tree)).stdout.strip()
    (tree / "small").write_bytes(b"other")
    theirs = cli("push", "--store", store, "--cache-dir", "another", str(tree)).stdout.strip()
    monkeypatch.setattr(
        "snapdir.catalog.catalog.Catalog.__init__.__kwdefaults__", {"lock_seconds": 0.01, "reading": False}
    )
    other = sqlite3.connect(tmp_path / "cache" / "default-catalog.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    run = cli("log", store)
    other.close()
    assert (run.code, run.stderr) == (0, "")
    assert [line.split("\t")[1] for line in run.stdout.splitlines()[1:]] == [theirs, mine]


# Who shares a cache


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600), (0o000, 0o666)])
def test_a_catalog_and_its_log_have_the_mode_that_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with Catalog(tmp_path / "shared" / "c.sqlite3") as catalog:
            catalog.record("push", "ab" * 32, "s3://bucket/sets")
            made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "shared").iterdir()}
    finally:
        os.umask(before)
    assert set(made) >= {"c.sqlite3"}
    assert set(made.values()) == {mode}


def test_a_catalog_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite3"
    Catalog(file).close()
    file.chmod(0o640)
    Catalog(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_nothing_in_a_shared_cache_is_closed_to_the_group(tmp_path: Path, tree: Path, store: str) -> None:
    before = os.umask(0o002)
    try:
        assert cli("push", "--store", store, str(tree)).code == 0
        assert cli("stage", str(tree)).code == 0
    finally:
        os.umask(before)
    notes = (tmp_path / "cache" / ".checkouts").rglob("*")  # for the one whose directories they are about
    for path in {*(tmp_path / "cache").rglob("*")}.difference(notes):
        wanted = 0o070 if path.is_dir() else 0o040
        assert path.stat().st_mode & wanted == wanted, path
    shutil.rmtree(tmp_path / "cache")
