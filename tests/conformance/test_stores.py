"""STO: stores, round trips, transfer flags."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conformance.harness import NO_ID, Shell, case, digest_of, manifests, objects, plant, sharded
from tests.conformance.trees import T1, T2, TM


@pytest.fixture
def small(place: Path) -> Path:
    """The tree T2."""
    return plant(place / "small", T2)


def modes(tree: Path) -> dict[str, int]:
    return {str(path.relative_to(tree)): path.stat().st_mode & 0o7777 for path in tree.rglob("*")}


@case("STO-01")
def test_the_store_may_come_from_the_environment(sh: Shell, small: Path, store: str, folder: Path, dest: Path) -> None:
    pushed = sh.ok("push", small, SNAPDIR_STORE=store).value
    assert len(pushed) == 64
    assert (folder / ".manifests" / sharded(pushed)).is_file()
    sh.ok("pull", "--id", pushed, dest, SNAPDIR_STORE=store)
    assert sh.id(dest) == pushed


@case("STO-02")
def test_the_flag_overrides_the_environment(sh: Shell, small: Path, store: str, folder: Path, place: Path) -> None:
    pushed = sh.ok("push", "--store", store, small, SNAPDIR_STORE=f"file://{place}/other").value
    assert manifests(folder) == {pushed}
    assert not (place / "other").exists()


@case("STO-04")
@pytest.mark.parametrize("args", [["push", "."], ["fetch", "--id", NO_ID]])
def test_without_a_store_the_error_names_the_flag_and_the_variable(args: list[str], sh: Shell) -> None:
    message = sh.fails(*args).err
    assert "--store" in message
    assert "SNAPDIR_STORE" in message


@case("STO-05")
def test_a_pulled_tree_has_the_id_of_the_pushed_one(
    sh: Shell, src: Path, store: str, folder: Path, cache: Path, place: Path
) -> None:
    pushed = sh.push(src, store)
    assert pushed == sh.id(src)
    for content in T1_CONTENTS:
        assert (folder / ".objects" / sharded(digest_of(content))).read_text() == content
    assert manifests(folder) == {pushed}
    sh.ok("verify", "--store", store, "--id", pushed)
    sh.ok("fetch", "--store", store, "--id", pushed)
    assert (objects(cache), manifests(cache)) == (objects(folder), manifests(folder))
    sh.ok("pull", "--store", store, "--id", pushed, place / "pulled")
    shutil.rmtree(folder)
    sh.ok("checkout", "--id", pushed, place / "checked-out")
    for copy in (place / "pulled", place / "checked-out"):
        assert sh.id(copy) == pushed
        assert modes(copy) == modes(src)


T1_CONTENTS = ("hello", "world!!")


@case("STO-06")
def test_a_staged_snapshot_is_pushed_by_its_id(sh: Shell, small: Path, store: str, folder: Path, dest: Path) -> None:
    staged = sh.ok("stage", small)
    Path("file").write_text("what the current directory holds is not pushed")
    assert sh.ok("push", "--store", store, "--id", staged.value) == staged
    assert (manifests(folder), objects(folder)) == ({staged.value}, {digest_of("hello")})
    sh.ok("pull", "--store", store, "--id", staged.value, dest)
    assert sh.id(dest) == staged.value


@case("STO-07")
def test_an_unknown_id_does_not_fall_back_to_the_current_directory(sh: Shell, store: str, folder: Path) -> None:
    Path("file").touch()
    assert "not found in the local cache" in sh.fails("push", "--store", store, "--id", NO_ID).err
    assert manifests(folder) == set()


@case("STO-08")
def test_verify_has_no_purge(sh: Shell, place: Path) -> None:
    message = sh.fails("verify", "--store", f"file://{place}/none", "--id", NO_ID, "--purge").err
    assert "verify" in message
    assert "--purge" in message


@case("STO-09")
def test_a_missing_snapshot_fails_verify_for_that_reason(sh: Shell, place: Path) -> None:
    message = sh.fails("verify", "--store", f"file://{place}/none", "--id", NO_ID).err
    assert "does not support --purge" not in message


@case("STO-10")
@pytest.mark.parametrize("tree", [T1, TM])
def test_jobs_and_rates_change_no_result(tree: dict[str, str], sh: Shell, store: str, place: Path) -> None:
    planted = plant(place / "tree", tree)
    for jobs in ("1", "2", "8"):
        pushed = sh.ok("push", "--store", store, "--jobs", jobs, "--limit-rate", "1M", planted).value
        assert pushed == sh.id(planted)
        copy = place / f"copy{jobs}"
        sh.ok("pull", "--store", store, "--id", pushed, "-j", jobs, "--limit-rate", "512K", copy)
        assert sh.id(copy) == pushed
        assert modes(copy) == modes(planted)


@case("STO-11")
def test_a_complete_cache_requests_no_objects_from_the_store(
    sh: Shell, pushed: str, store: str, folder: Path, dest: Path, place: Path
) -> None:
    sh.ok("pull", "--store", store, "--id", pushed, dest, SNAPDIR_PULL_CACHE="1")
    shutil.rmtree(folder / ".objects")
    sh.ok("pull", "--store", store, "--id", pushed, place / "again")
    sh.ok("fetch", "--store", store, "--id", pushed)
    assert sh.id(place / "again") == pushed


@case("STO-12")
def test_checkout_of_an_unknown_id_suggests_fetch(sh: Shell, dest: Path) -> None:
    assert "fetch" in sh.fails("checkout", "--id", NO_ID, dest).err.lower()


@case("STO-13")
def test_a_second_pull_changes_nothing(sh: Shell, pushed: str, store: str, dest: Path) -> None:
    for _ in range(2):
        sh.ok("pull", "--store", store, "--id", pushed, dest)
        assert sh.id(dest) == pushed


@case("STO-14")
def test_a_pull_repairs_a_file_from_the_cache(sh: Shell, pushed: str, store: str, folder: Path, dest: Path) -> None:
    sh.ok("pull", "--cache", "--store", store, "--id", pushed, dest)
    (dest / "a.txt").write_text("spoilt")
    shutil.rmtree(folder / ".objects")
    sh.ok("pull", "--store", store, "--id", pushed, dest)
    assert (dest / "a.txt").read_text() == "hello"
    assert sh.id(dest) == pushed


@case("STO-15")
def test_verbose_prints_the_concurrency_once(sh: Shell, src: Path, store: str, dest: Path) -> None:
    done = sh.ok("push", "--jobs", "3", "--verbose", "--store", store, src)
    assert done.value == sh.id(src)
    pulled = sh.ok("pull", "--jobs", "3", "--verbose", "--store", store, "--id", done.value, dest)
    assert pulled.out == ""
    for message in (done.err, pulled.err):
        assert "transfers: 3 concurrent" in message
        assert message.count("transfers:") == 1


@case("STO-16")
def test_verbose_prints_the_rate_as_given(sh: Shell, src: Path, store: str) -> None:
    message = sh.ok("push", "--jobs", "2", "--limit-rate", "1M", "--verbose", "--store", store, src).err
    assert "2 concurrent" in message
    assert "limit 1M" in message


@case("STO-17")
def test_without_verbose_no_settings_are_printed(sh: Shell, src: Path, store: str) -> None:
    assert sh.ok("push", "--jobs", "3", "--store", store, src).err == ""
