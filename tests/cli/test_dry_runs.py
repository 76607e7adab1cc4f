"""A dry run refuses what the run refuses, if possible in the same words, and says what the run would do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

import snapdir
from snapdir import push_cached
from snapdir.config import Config
from snapdir.errors import CorruptManifest, IncompleteCache, ManifestNotFound, ObjectNotFound
from snapdir.model.sizes import format_size
from tests.cli.conftest import ID, Run, cli
from tests.cli.test_damaged_cache import (
    FILES,
    cache,
    emptied,
    manifest_of,
    object_of,
    ok,
    snapshot,
    store,
    tree,
    truncated,
)
from tests.cli.test_mirror import everything

SMALL = "a.txt"

__all__ = ["cache", "snapshot", "store", "tree"]  # fixtures: a store, a snapshot in it, a cache that has it


def refused_alike(*args: str) -> str:
    """What a dry run and the run both say when they fail."""
    dry = cli(*args, "--dryrun")
    assert dry.code == 1
    assert cli(*args) == dry
    assert dry.stdout == ""
    return dry.stderr


# checkout


@pytest.mark.parametrize("flags", [(), ("--delete",), ("--linked",), ("--include", "*.txt")], ids=str)
def test_a_checkout_of_an_unknown_id_is_refused(flags: tuple[str, ...], cache: Path) -> None:
    assert "not found locally" in refused_alike("checkout", *flags, "--id", ID, "out")
    assert not Path("out").exists()


@pytest.mark.parametrize("flags", [(), ("--delete",), ("--linked",), ("--include", "*.txt")], ids=str)
def test_a_checkout_from_an_incomplete_cache_is_refused(flags: tuple[str, ...], cache: Path, snapshot: str) -> None:
    object_of(cache, SMALL).unlink()
    said = refused_alike("checkout", *flags, "--id", snapshot, "out")
    assert f"for ./{SMALL} is missing from the cache" in said
    assert not Path("out").exists()


def test_a_part_that_is_complete_is_not_refused(cache: Path, snapshot: str) -> None:
    object_of(cache, SMALL).unlink()
    for flags in (["--dryrun"], []):
        ok("checkout", *flags, "--id", snapshot, "--exclude", SMALL, "out")


@pytest.mark.parametrize("damage", [truncated, emptied], ids=lambda kind: kind.__name__)
def test_a_checkout_of_a_damaged_manifest_is_refused(
    damage: Callable[[Path], None], cache: Path, snapshot: str
) -> None:
    damage(manifest_of(cache, snapshot))
    assert "verify-cache --purge" in refused_alike("checkout", "--id", snapshot, "out")


async def test_in_python_too(cache: Path, snapshot: str) -> None:
    dry_checkout = partial(snapdir.checkout, config=Config(cache_dir=cache), dry_run=True)
    with pytest.raises(ManifestNotFound):
        await dry_checkout(ID, "out")
    object_of(cache, SMALL).unlink()
    with pytest.raises(IncompleteCache):
        await dry_checkout(snapshot, "out")
    emptied(manifest_of(cache, snapshot))
    with pytest.raises(CorruptManifest):
        await dry_checkout(snapshot, "out")


# push --id


def test_a_push_from_an_incomplete_cache_is_refused(cache: Path, snapshot: str, isolated: Path) -> None:
    object_of(cache, SMALL).unlink()
    other = str(isolated / "other")
    dry = cli("push", "--dryrun", "--id", snapshot, "--store", other)
    assert (dry.code, dry.stdout) == (1, "")
    assert "would push" not in dry.stderr
    assert object_of(cache, SMALL).name in dry.stderr
    assert not Path(other).exists()
    assert cli("push", "--id", snapshot, "--store", other).code == 1


@pytest.mark.parametrize("published", [True, False])
def test_an_object_that_the_store_has_need_not_be_in_the_cache(
    published: bool, cache: Path, store: str, snapshot: str
) -> None:
    object_of(cache, SMALL).unlink()
    if not published:
        manifest_of(Path(store), snapshot).unlink()
    push = ["push", "--id", snapshot, "--store", store]
    assert "would push" in ok(*push, "--dryrun").stderr
    assert manifest_of(Path(store), snapshot).exists() == published
    assert cli(*push, "--recheck", "--dryrun").code == cli(*push, "--recheck").code == 1
    ok(*push)


def test_a_push_to_a_program_that_is_not_there_is_refused(cache: Path, snapshot: str) -> None:
    assert "snapdir-nowhere-store" in refused_alike("push", "--id", snapshot, "--store", "nowhere://x")


# An object that the store has lost


@pytest.fixture
def lost(store: str, snapshot: str) -> str:
    """The digest of an object that the store no longer has."""
    file = object_of(Path(store), SMALL)
    file.unlink()
    return file.name


@pytest.mark.parametrize(
    "verb",
    [
        ["fetch", "--store", "STORE"],
        ["pull", "--store", "STORE", "out"],
        ["pull", "--no-cache", "--store", "STORE", "out"],
        ["pull", "--no-cache", "--delete", "--store", "STORE", "out"],
        ["sync", "--from", "STORE", "--to", "./mirror"],
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_what_the_store_has_lost_is_refused(
    verb: list[str], store: str, snapshot: str, lost: str, isolated: Path
) -> None:
    args = [store if word == "STORE" else word for word in verb]
    before = everything(isolated)
    dry = cli(*args, "--id", snapshot, "--dryrun")
    assert (dry.code, dry.stdout) == (1, "")
    assert lost in dry.stderr
    assert everything(isolated) == before
    real = cli(*args, "--id", snapshot)
    assert (real.code, lost in real.stderr) == (1, True)


def test_what_is_here_already_need_not_be_in_the_store(tree: Path, store: str, snapshot: str, lost: str) -> None:
    for flags in (["--dryrun"], []):
        ok("pull", "--no-cache", *flags, "--store", store, "--id", snapshot, str(tree))


def test_a_dry_sync_of_everything_names_the_damaged_snapshot(store: str, snapshot: str, lost: str) -> None:
    for flags in (["--dryrun"], []):
        run = cli("sync", "--all", *flags, "--from", store, "--to", "./mirror")
        assert (run.code, lost in run.stderr, snapshot in run.stderr) == (1, True, True)


async def test_in_python_what_the_store_has_lost_is_refused(
    store: str, snapshot: str, lost: str, tmp_path: Path
) -> None:
    config = Config(cache_dir=tmp_path / "cold")
    verbs: list[Callable[[], Awaitable[object]]] = [
        partial(snapdir.fetch, snapshot, store, config=config, dry_run=True),
        partial(snapdir.pull, snapshot, store, "out", config=config, dry_run=True),
        partial(snapdir.sync, snapshot, store, str(tmp_path / "mirror"), config=config, dry_run=True),
    ]
    for verb in verbs:
        with pytest.raises(ObjectNotFound, match=lost):
            await verb()
    with pytest.raises(ManifestNotFound):
        await push_cached(snapshot, store, config=config, dry_run=True)


# Somewhere that cannot be written


@pytest.mark.parametrize(
    "verb",
    [
        ["stage", "TREE", "--cache-dir", "FILE"],
        ["fetch", "--store", "STORE", "--id", "ID", "--cache-dir", "FILE"],
        ["pull", "--cache", "--store", "STORE", "--id", "ID", "--cache-dir", "FILE", "out"],
        ["sync", "--from", "STORE", "--id", "ID", "--to", "FILE"],
        ["sync", "--from", "STORE", "--all", "--to", "FILE"],
    ],
    ids=" ".join,
)
def test_a_cache_or_store_that_is_a_file_is_refused(
    verb: list[str], tree: Path, store: str, snapshot: str, isolated: Path
) -> None:
    (isolated / "file").touch()
    words = {"TREE": str(tree), "STORE": store, "ID": snapshot, "FILE": str(isolated / "file")}
    args = [words.get(word, word) for word in verb]
    said = f"store is not a directory: {isolated / 'file'}"
    dry, real = cli(*args, "--dryrun"), cli(*args)
    assert (dry.code, dry.stdout, said in dry.stderr) == (1, "", True)
    assert (real.code, said in real.stderr) == (1, True)


@pytest.mark.parametrize("flags", [(), ("--delete",)])
def test_a_destination_below_a_file_is_refused(flags: tuple[str, ...], cache: Path, store: str, snapshot: str) -> None:
    Path("file").touch()
    assert "file/out: not a directory" in refused_alike("checkout", *flags, "--id", snapshot, "file/out")
    pull = ["pull", "--no-cache", *flags, "--store", store, "--id", snapshot]
    assert "file/out: not a directory" in refused_alike(*pull, "file/out")


# The line at the end


@pytest.mark.parametrize("new", [True, False])
def test_a_dry_mirror_says_what_it_would_do(new: bool, cache: Path, store: str, snapshot: str) -> None:
    if not new:
        Path("out").mkdir()
        Path("out/extra").write_text("x")
    gone = "" if new else "would delete: ./extra\n"
    note = f"dry-run: would check out {snapshot} to out (no writes performed)\n"
    fetched = f"dry-run: would fetch {snapshot} into the local cache (no writes performed)\n"
    mirror = ["--delete", "--dryrun", "--id", snapshot]
    size = format_size(sum(map(len, FILES.values())))
    counted = f"dry-run: 4 files, {size}; 4 to write" + ("" if new else "; 1 path to remove")
    here, there = f"{counted}; nothing to fetch\n", f"{counted}; 3 objects, {size} to fetch\n"
    assert cli("checkout", *mirror, "out") == Run(0, gone, f"{counted}\n{note}")
    assert cli("pull", *mirror, "--store", store, "out") == Run(0, gone, here + note)
    cold = ["--store", store, "--cache-dir", "cold"]
    assert cli("pull", *mirror, *cold, "out") == Run(0, gone, there + note)
    assert cli("pull", *mirror, *cold, "--cache", "out") == Run(0, gone, there + fetched + note)
    assert cli("pull", *mirror, "--store", store, "--no-cache", "out") == Run(0, gone, here + note)
    assert cli("pull", *mirror, "--store", store, "-q", "out") == Run(0, gone, "")
    assert Path("out").exists() != new
