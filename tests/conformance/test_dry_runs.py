"""DRY: dry runs write nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conformance.harness import Shell, case, files, stored


@case("DRY-01")
def test_push_prints_the_id_and_writes_nothing(sh: Shell, src: Path, store: str, folder: Path, cache: Path) -> None:
    assert sh.ok("push", "--dryrun", "--store", store, src).value == sh.id(src)
    assert files(folder) == stored(cache) == set()


@case("DRY-02")
def test_stage_prints_the_id_and_writes_nothing(sh: Shell, src: Path, cache: Path) -> None:
    assert sh.ok("stage", "--dryrun", src).value == sh.id(src)
    assert stored(cache) == set()


@case("DRY-03")
def test_flush_cache_removes_nothing(sh: Shell, src: Path, cache: Path) -> None:
    sh.ok("stage", src)
    before = files(cache)
    sh.ok("flush-cache", "--dryrun")
    assert files(cache) == before


@case("DRY-04")
def test_checkout_writes_nothing(sh: Shell, src: Path, dest: Path) -> None:
    staged = sh.ok("stage", src).value
    dest.mkdir()
    sh.ok("checkout", "--dryrun", "--id", staged, dest)
    assert list(dest.iterdir()) == []


@case("DRY-05")
def test_pull_with_a_cold_cache_writes_nothing(sh: Shell, pushed: str, store: str, cache: Path, dest: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    sh.ok("pull", "--dryrun", "--store", store, "--id", pushed, dest)
    assert files(cache) == files(dest) == set()
