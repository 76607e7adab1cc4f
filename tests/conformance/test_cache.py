"""CAC and REC: the cache, and how it heals."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.harness import Shell, case, digest_of, manifests, objects, plant, sharded, unlock
from tests.conformance.trees import DEDUP

HELLO = digest_of("hello")
SHARED, ONE, TWO = map(digest_of, ("shared-content", "unique-one", "unique-two"))


@dataclass(frozen=True)
class Fetched:
    """A snapshot that was pushed, and fetched into an empty cache."""

    sh: Shell
    id: str
    store: str
    cache: Path

    def object(self, digest: str) -> Path:
        return self.cache / ".objects" / sharded(digest)

    def fetch(self, *flags: str) -> None:
        self.sh.ok("fetch", *flags, "--store", self.store, "--id", self.id)


@pytest.fixture
def fetched(sh: Shell, store: str, pushed: str, cache: Path) -> Fetched:
    shutil.rmtree(cache, ignore_errors=True)
    found = Fetched(sh, pushed, store, cache)
    found.fetch()
    return found


@pytest.fixture
def holed(fetched: Fetched) -> Fetched:
    """The cache lacks the object of a.txt."""
    fetched.object(HELLO).unlink()
    return fetched


@pytest.fixture
def shared(sh: Shell, store: str, cache: Path, place: Path) -> Fetched:
    """Two of four files have one content."""
    found = Fetched(sh, sh.push(plant(place / "dedup", DEDUP), store), store, cache)
    shutil.rmtree(cache, ignore_errors=True)
    found.fetch()
    return found


@case("CAC-01")
def test_stage_fills_the_cache(sh: Shell, src: Path, cache: Path) -> None:
    staged = sh.ok("stage", src).value
    assert staged == sh.id(src)
    assert manifests(cache) == {staged}
    assert (cache / ".objects" / sharded(HELLO)).read_text() == "hello"
    assert objects(cache) == {HELLO, digest_of("world!!")}


@case("CAC-02")
def test_verify_cache_prints_nothing_for_a_sound_cache(fetched: Fetched) -> None:
    for args in ([], ["--id", fetched.id]):
        done = fetched.sh.ok("verify-cache", *args)
        assert (done.out, done.err) == ("", "")


@case("CAC-03")
def test_a_damaged_object_is_reported_then_kept_or_purged_and_then_missing(sh: Shell, src: Path, cache: Path) -> None:
    sh.ok("stage", src)
    damaged = cache / ".objects" / sharded(HELLO)
    unlock(damaged, "HELLO")
    assert HELLO in sh.fails("verify-cache").err
    assert damaged.exists()
    assert HELLO in sh.ok("verify-cache", "--purge").err
    assert not damaged.exists()
    assert f"Missing object {HELLO}" in sh.fails("verify-cache").err
    sh.ok("flush-cache")
    sh.ok("verify-cache")


@case("CAC-03")
def test_a_purge_that_removes_all_that_was_wrong_is_a_success(sh: Shell, src: Path, cache: Path) -> None:
    staged = sh.ok("stage", src).value
    unlock(cache / ".objects" / sharded(HELLO), "HELLO")
    (cache / ".manifests" / sharded(staged)).unlink()
    assert "purged 1" in sh.ok("verify-cache", "--purge").err
    assert objects(cache) == {digest_of("world!!")}


@case("CAC-04")
def test_flush_cache_can_be_repeated(sh: Shell, src: Path, cache: Path) -> None:
    sh.ok("stage", src)
    for _ in range(2):
        sh.ok("flush-cache")
        assert objects(cache) == manifests(cache) == set()


@case("REC-01")
@pytest.mark.parametrize("flags", [[], ["--force"]])
def test_fetch_repairs_the_cache(flags: list[str], holed: Fetched) -> None:
    holed.fetch(*flags)
    assert holed.object(HELLO).read_text() == "hello"


@case("REC-02")
def test_pull_repairs_the_cache_and_then_checks_out(holed: Fetched, dest: Path) -> None:
    holed.sh.ok("pull", "--cache", "--store", holed.store, "--id", holed.id, dest)
    assert holed.object(HELLO).read_text() == "hello"
    assert holed.sh.id(dest) == holed.id


@case("REC-03")
def test_a_repaired_cache_is_enough(holed: Fetched, folder: Path, dest: Path) -> None:
    holed.fetch()
    shutil.rmtree(folder)
    holed.sh.ok("checkout", "--id", holed.id, dest)


@case("REC-04")
def test_verify_cache_names_missing_objects_and_their_files(holed: Fetched) -> None:
    for args in ([], ["--id", holed.id]):
        message = holed.sh.fails("verify-cache", *args).err
        assert f"Missing object {HELLO}" in message
        assert "a.txt" in message


@case("REC-05")
def test_checkout_from_an_incomplete_cache_names_the_file(holed: Fetched, dest: Path) -> None:
    assert "a.txt" in holed.sh.fails("checkout", "--id", holed.id, dest).err


@case("REC-06")
def test_fetch_reports_that_nothing_was_missing(fetched: Fetched) -> None:
    message = fetched.sh.ok("fetch", "--verbose", "--store", fetched.store, "--id", fetched.id).err
    assert f"CACHED: {fetched.id}" in message
    assert "SAVED" not in message


@case("REC-07")
def test_several_missing_objects_are_counted_and_restored_at_once(shared: Fetched) -> None:
    for digest in (ONE, SHARED):
        shared.object(digest).unlink()
    assert "2 missing" in shared.sh.fails("verify-cache").err
    shared.fetch()
    assert objects(shared.cache) == {SHARED, ONE, TWO}


@case("REC-08")
def test_a_lost_manifest_is_fetched_again(fetched: Fetched, dest: Path) -> None:
    shutil.rmtree(fetched.cache / ".manifests")
    fetched.fetch()
    assert manifests(fetched.cache) == {fetched.id}
    fetched.sh.ok("checkout", "--id", fetched.id, dest)
    assert fetched.sh.id(dest) == fetched.id


@case("REC-09")
def test_a_shared_object_is_reported_once_and_restored_once(shared: Fetched, dest: Path) -> None:
    shared.object(SHARED).unlink()
    message = shared.sh.fails("verify-cache").err
    assert message.count(SHARED) == 1
    assert "dup_a.txt" in message or "dup_b.txt" in message
    shared.fetch()
    shared.sh.ok("checkout", "--id", shared.id, dest)
    assert (dest / "dup_a.txt").read_text() == (dest / "nested/dup_b.txt").read_text() == "shared-content"


@case("REC-10")
def test_damaged_and_missing_objects_are_distinguished(shared: Fetched) -> None:
    unlock(shared.object(ONE), "damaged!!!")
    shared.object(TWO).unlink()
    message = shared.sh.fails("verify-cache").err
    assert f"Checksum mismatch for {ONE}" in message
    assert f"Missing object {TWO}" in message
    assert f"Checksum mismatch for {TWO}" not in message
    assert f"Missing object {ONE}" not in message
