"""OBJ: one pool of objects for several stores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conformance.harness import Shell, case, digest_of, files, manifests, objects, plant

THREE = {"a.txt": "one", "b.txt": "two", "d/c.txt": "three"}


@pytest.fixture
def tree(place: Path) -> Path:
    return plant(place / "tree", THREE)


@pytest.fixture
def pool(place: Path) -> list[str]:
    """The flag that names the pool P."""
    return ["--objects-store", f"file://{place}/P"]


@pytest.fixture
def split(sh: Shell, tree: Path, pool: list[str], place: Path) -> str:
    """The id of the tree: its manifest in A, its objects in P, nothing cached."""
    pushed = sh.ok("push", "--store", f"file://{place}/A", *pool, tree).value
    shutil.rmtree(place / "cache", ignore_errors=True)
    return pushed


@case("OBJ-01")
def test_two_stores_share_a_pool(sh: Shell, tree: Path, pool: list[str], split: str, place: Path) -> None:
    assert sh.ok("push", "--store", f"file://{place}/B", *pool, tree).value == split
    assert (len(objects(place / "P")), manifests(place / "P")) == (3, set())
    for name in ("A", "B"):
        assert (objects(place / name), manifests(place / name)) == (set(), {split})
        sh.ok("pull", "--store", f"file://{place}/{name}", *pool, "--no-cache", "--id", split, place / f"from{name}")
        assert sh.id(place / f"from{name}") == split


@case("OBJ-02")
def test_fetch_fills_the_cache_from_a_pool(sh: Shell, pool: list[str], split: str, place: Path, dest: Path) -> None:
    sh.ok("fetch", "--store", f"file://{place}/A", *pool, "--id", split)
    assert objects(place / "cache") == objects(place / "P")
    shutil.rmtree(place / "A")
    shutil.rmtree(place / "P")
    sh.ok("checkout", "--id", split, dest)
    assert sh.id(dest) == split


@case("OBJ-03")
def test_without_a_pool_a_store_has_manifests_and_objects(
    sh: Shell, tree: Path, store: str, folder: Path, dest: Path
) -> None:
    pushed = sh.push(tree, store)
    assert (len(objects(folder)), manifests(folder)) == (3, {pushed})
    sh.ok("pull", "--store", store, "--id", pushed, dest)


@case("OBJ-04")
def test_the_pool_may_come_from_the_environment(sh: Shell, tree: Path, store: str, folder: Path, place: Path) -> None:
    pushed = sh.ok("push", "--store", store, tree, SNAPDIR_OBJECTS_STORE=f"file://{place}/P").value
    assert (objects(folder), manifests(folder)) == (set(), {pushed})
    assert (len(objects(place / "P")), manifests(place / "P")) == (3, set())


@case("OBJ-05")
def test_the_flag_overrides_even_an_invalid_variable(
    sh: Shell, tree: Path, store: str, pool: list[str], place: Path
) -> None:
    sh.ok("push", "--store", store, *pool, tree, SNAPDIR_OBJECTS_STORE="custom://poison")
    assert len(objects(place / "P")) == 3


@case("OBJ-06")
def test_a_wrong_pool_fails_and_the_right_one_works(
    sh: Shell, pool: list[str], split: str, place: Path, dest: Path
) -> None:
    (place / "empty").mkdir()
    pull = ["pull", "--store", f"file://{place}/A", "--id", split]
    message = sh.fails(*pull, "--objects-store", f"file://{place}/empty", dest).err
    assert "not found" in message
    sh.ok(*pull, *pool, dest)
    assert sh.id(dest) == split


@case("OBJ-07")
def test_a_store_program_cannot_be_combined_with_a_pool(
    sh: Shell, tree: Path, store: str, pool: list[str], place: Path
) -> None:
    for sides in (["--store", store, "--objects-store", "custom://x"], ["--store", "custom://x", *pool]):
        message = sh.fails("push", *sides, tree).err
        assert "in-process stores (file/s3/b2/gcs)" in message
        assert "custom://x" in message
        assert "file://" not in message
    assert objects(place / "P") == set()


@case("OBJ-08")
def test_a_pool_alone_is_not_a_store(sh: Shell, tree: Path, pool: list[str], place: Path) -> None:
    assert "--store" in sh.fails("push", *pool, tree).err
    assert files(place / "P") == set()


@case("OBJ-09")
def test_the_catalog_records_the_store_and_not_the_pool(
    sh: Shell, tree: Path, store: str, pool: list[str], place: Path
) -> None:
    named = ["--catalog", str(place / "db")]
    sh.ok("push", *named, "--store", store, *pool, tree)
    assert [json.loads(line)["location"] for line in sh.ok("locations", *named).lines] == [store]
    assert sh.ok("revisions", *named, "--location", f"file://{place}/P").out == ""


@case("OBJ-10")
def test_only_changed_objects_are_added_to_the_pool(
    sh: Shell, tree: Path, pool: list[str], split: str, place: Path
) -> None:
    before = objects(place / "P")
    (tree / "a.txt").write_text("changed")
    sh.ok("push", "--store", f"file://{place}/C", *pool, tree)
    assert objects(place / "P") == before | {digest_of("changed")}


@case("OBJ-11")
@pytest.mark.parametrize("verb", ["fetch", "pull"])
def test_a_missing_object_suggests_naming_the_pool(verb: str, sh: Shell, split: str, place: Path, dest: Path) -> None:
    target = [dest] if verb == "pull" else []
    message = sh.fails(verb, "--store", f"file://{place}/A", "--id", split, *target).err
    assert "--objects-store" in message
    assert "--from-objects" in message


@case("OBJ-12")
def test_with_a_named_pool_there_is_no_such_hint(sh: Shell, split: str, place: Path) -> None:
    (place / "empty").mkdir()
    split_store = ["--store", f"file://{place}/A", "--objects-store", f"file://{place}/empty"]
    message = sh.fails("fetch", *split_store, "--id", split).err
    assert "not found" in message
    assert "--from-objects" not in message
