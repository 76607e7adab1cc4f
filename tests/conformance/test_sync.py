"""SYN: from store to store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.harness import (
    NO_ID,
    Run,
    Shell,
    Tree,
    case,
    digest_of,
    files,
    manifests,
    objects,
    plant,
    sharded,
)
from tests.conformance.trees import TD, TS, TZ


@dataclass(frozen=True)
class Split:
    """TS, its manifest in one store and its objects in a pool, and such a pair to copy it to."""

    sh: Shell
    id: str
    place: Path

    def args(self, *flags: str, pools: tuple[str, ...] = ("from", "to")) -> list[str]:
        args = ["sync", "--id", self.id, "--from", f"file://{self.place}/SM", "--to", f"file://{self.place}/DM"]
        for side in pools:
            args += [f"--{side}-objects", f"file://{self.place}/{'SP' if side == 'from' else 'DP'}"]
        return [*args, *flags]

    def sync(self, *flags: str) -> Run:
        return self.sh.ok(*self.args(*flags))

    def pull(self, *pool: str) -> str:
        """The id of what comes back from the destination."""
        into = self.place / "back"
        self.sh.ok("pull", "--store", f"file://{self.place}/DM", *pool, "--id", self.id, "--no-cache", into)
        return self.sh.id(into)


@pytest.fixture
def ts(place: Path) -> Path:
    return plant(place / "ts", TS)


@pytest.fixture
def split(sh: Shell, ts: Path, place: Path) -> Split:
    pool = ["--objects-store", f"file://{place}/SP"]
    return Split(sh, sh.ok("push", "--store", f"file://{place}/SM", *pool, ts).value, place)


@pytest.fixture
def copy(place: Path) -> str:
    """Where to copy to; nothing there yet."""
    return f"file://{place}/copy"


def contents(*folders: Path) -> dict[str, bytes]:
    return {f"{folder}/{path}": (folder / path).read_bytes() for folder in folders for path in sorted(files(folder))}


def counts(run: Run) -> tuple[int, int]:
    """Copied and skipped."""
    found = re.search(r"(\d+) copied, (\d+) skipped \(\d+ bytes\)", run.err)
    assert found, run.err
    return int(found[1]), int(found[2])


@case("SYN-01")
@pytest.mark.parametrize(("source", "goal"), [("mock://a", "file:///tmp/b"), ("file:///tmp/a", "mock://b")])
def test_a_store_program_is_refused(source: str, goal: str, sh: Shell) -> None:
    message = sh.fails("sync", "--id", NO_ID, "--from", source, "--to", goal).err
    assert "sync requires in-process stores" in message
    assert "not supported" in message


@case("SYN-02")
def test_sync_of_a_store_to_itself_is_refused(sh: Shell, store: str) -> None:
    assert "--from and --to must differ" in sh.fails("sync", "--id", NO_ID, "--from", store, "--to", store).err


@case("STO-03")
def test_sync_to_itself_is_refused_if_the_environment_names_the_store(sh: Shell, store: str) -> None:
    message = sh.fails("sync", "--id", NO_ID, "--to", store, SNAPDIR_STORE=store).err
    assert "--from and --to must differ" in message


@case("SYN-03")
def test_sync_needs_an_id(sh: Shell, store: str, copy: str) -> None:
    assert "missing --id option" in sh.fails("sync", "--from", store, "--to", copy).err


@case("SYN-04")
def test_manifest_and_objects_are_copied(sh: Shell, pushed: str, store: str, copy: str, dest: Path) -> None:
    done = sh.ok("sync", "--id", pushed, "--from", store, "--to", copy)
    assert done.value == pushed
    assert done.err == f"synced {pushed}: 2 copied, 0 skipped (12 bytes)\n"
    sh.ok("pull", "--store", copy, "--id", pushed, dest)
    assert sh.id(dest) == pushed


@case("SYN-05")
def test_a_second_sync_copies_nothing(sh: Shell, pushed: str, store: str, copy: str, place: Path) -> None:
    sh.ok("sync", "--id", pushed, "--from", store, "--to", copy)
    before = contents(place / "copy")
    assert counts(sh.ok("sync", "--id", pushed, "--from", store, "--to", copy))[0] == 0
    assert contents(place / "copy") == before


@case("SYN-06")
def test_a_dry_run_reports_and_writes_nothing(sh: Shell, pushed: str, store: str, copy: str, place: Path) -> None:
    done = sh.ok("sync", "--dryrun", "--id", pushed, "--from", store, "--to", copy)
    assert done.out == ""
    assert f"dry-run: would copy 2 object(s) for {pushed}" in done.err
    assert files(place / "copy") == set()


@case("SYN-07")
def test_delete_keeps_the_snapshots_of_the_source(
    sh: Shell, pushed: str, store: str, copy: str, ts: Path, place: Path
) -> None:
    sh.push(ts, copy)
    before = objects(place / "copy")
    done = sh.ok("sync", "--delete", "--id", pushed, "--from", store, "--to", copy)
    assert manifests(place / "copy") == {pushed}
    assert objects(place / "copy") > before
    assert done.err.startswith(f"mirrored {pushed}: 2 copied, 0 skipped (12 bytes)")
    assert done.err.endswith(", 1 manifest(s) pruned\n")


@case("SYN-08")
def test_delete_in_a_remote_store_is_refused(sh: Shell, pushed: str, store: str) -> None:
    message = sh.fails("sync", "--delete", "--id", pushed, "--from", store, "--to", "gs://bucket").err
    assert "mirror unsupported" in message or "local file://" in message


@case("SYN-09")
def test_sync_keeps_nothing_in_the_cache(sh: Shell, pushed: str, store: str, copy: str, place: Path) -> None:
    before = files(place / "cache")
    sh.ok("sync", "--id", pushed, "--from", store, "--to", copy)
    assert files(place / "cache") == before
    assert {path.split("/")[0] for path in files(place / "copy")} == {".objects", ".manifests"}


@case("SYN-10")
def test_existing_objects_are_skipped(sh: Shell, pushed: str, store: str, copy: str, place: Path) -> None:
    sh.push(plant(place / "part", {"other.txt": "hello"}), copy)
    assert counts(sh.ok("sync", "--id", pushed, "--from", store, "--to", copy)) == (1, 1)


@case("SYN-11")
def test_both_sides_may_have_a_pool(split: Split) -> None:
    assert split.sync().value == split.id
    assert (manifests(split.place / "DM"), objects(split.place / "DM")) == ({split.id}, set())
    assert (manifests(split.place / "DP"), len(objects(split.place / "DP"))) == (set(), 4)
    assert split.pull("--objects-store", f"file://{split.place}/DP") == split.id


@case("SYN-11")
def test_the_source_alone_may_have_a_pool(split: Split) -> None:
    split.sh.ok(*split.args(pools=("from",)))
    assert (manifests(split.place / "DM"), len(objects(split.place / "DM"))) == ({split.id}, 4)
    assert split.pull() == split.id


@case("SYN-11")
def test_the_destination_alone_may_have_a_pool(sh: Shell, ts: Path, place: Path) -> None:
    split = Split(sh, sh.push(ts, f"file://{place}/SM"), place)
    sh.ok(*split.args(pools=("to",)))
    assert (manifests(place / "DM"), objects(place / "DM"), len(objects(place / "DP"))) == ({split.id}, set(), 4)
    assert split.pull("--objects-store", f"file://{place}/DP") == split.id


@case("SYN-12")
def test_a_full_pool_still_gets_its_manifest(split: Split, ts: Path) -> None:
    pool = ["--objects-store", f"file://{split.place}/DP"]
    split.sh.ok("push", "--store", f"file://{split.place}/else", *pool, ts)
    assert counts(split.sync()) == (0, 4)
    assert manifests(split.place / "DM") == {split.id}


@case("SYN-13")
def test_an_existing_manifest_means_nothing_to_copy(split: Split) -> None:
    split.sync()
    sides = [split.place / name for name in ("SM", "SP", "DM", "DP")]
    before = contents(*sides)
    assert counts(split.sync())[0] == 0
    assert contents(*sides) == before


@case("SYN-14")
def test_an_incomplete_source_publishes_nothing(split: Split) -> None:
    (split.place / "SP/.objects" / sharded(digest_of("charlie!!!"))).unlink()
    split.sh.fails(*split.args())
    assert manifests(split.place / "DM") == set()
    split.sh.fails("fetch", "--store", f"file://{split.place}/DM", "--id", split.id)


@case("SYN-15")
def test_the_source_is_not_changed(split: Split) -> None:
    before = contents(split.place / "SM", split.place / "SP")
    split.sync()
    assert contents(split.place / "SM", split.place / "SP") == before
    assert objects(split.place / "DP") == objects(split.place / "SP")


@case("SYN-16")
@pytest.mark.parametrize("side", ["from", "to"])
def test_a_pool_that_is_a_store_program_is_refused(side: str, split: Split) -> None:
    message = split.sh.fails(*split.args(f"--{side}-objects", "custom://x", pools=())).err
    assert "in-process" in message


@case("SYN-17")
def test_sync_ignores_the_pool_of_the_environment(split: Split) -> None:
    other = f"file://{split.place}/other"
    split.sh.ok(*split.args(), SNAPDIR_OBJECTS_STORE=other)
    assert len(objects(split.place / "DP")) == 4
    assert not (split.place / "other").exists()


@case("SYN-18")
def test_a_missing_source_publishes_nothing(sh: Shell, copy: str, place: Path) -> None:
    sh.fails("sync", "--id", NO_ID, "--from", f"file://{place}/missing", "--to", copy)
    assert manifests(place / "copy") == set()


@case("SYN-19")
@pytest.mark.parametrize(("tree", "distinct"), [(TD, 2), (TZ, 3)])
def test_sync_counts_objects_not_files(
    tree: Tree, distinct: int, sh: Shell, store: str, copy: str, place: Path
) -> None:
    pushed = sh.push(plant(place / "twins", tree), store)
    assert counts(sh.ok("sync", "--id", pushed, "--from", store, "--to", copy)) == (distinct, 0)
    assert len(objects(place / "copy")) == distinct


@case("SYN-20")
def test_a_dry_run_counts_objects_too(sh: Shell, store: str, copy: str, place: Path) -> None:
    pushed = sh.push(plant(place / "twins", TD), store)
    assert "would copy 2 object(s)" in sh.ok("sync", "--dryrun", "--id", pushed, "--from", store, "--to", copy).err
    assert files(place / "copy") == set()
