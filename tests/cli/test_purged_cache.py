"""`snapdir verify-cache --purge`: what it removes, says and ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from tests.cli.conftest import cli
from tests.cli.test_damaged_cache import (
    FILES,
    LARGE,
    SMALL,
    cache,
    flipped,
    keyed,
    names,
    object_of,
    ok,
    snapshot,
    store,
    tree,
)

__all__ = ["cache", "snapshot", "store", "tree"]  # fixtures: a store, a snapshot in it, a cache that has it


@names
def test_a_purge_of_all_that_is_wrong_is_a_success_and_says_how_to_heal(
    name: str, cache: Path, store: str, snapshot: str
) -> None:
    flipped(object_of(cache, name))
    digest = blake3(FILES[name]).hexdigest()
    run = ok("verify-cache", "--purge")
    assert run.stdout == ""
    assert run.stderr.splitlines() == [
        f"Checksum mismatch for {digest}",
        f"removed object {digest} for ./{name} of snapshot {snapshot}: `snapdir fetch --id {snapshot}` brings it back",
        "snapdir: purged 1 corrupt object(s); everything else in the cache is sound",
    ]
    assert f"Missing object {digest}" in cli("verify-cache").stderr
    ok("fetch", "--store", store, "--id", snapshot)
    assert ok("verify-cache").stderr == ""


@pytest.mark.parametrize("only", [True, False])
def test_what_was_missing_before_a_purge_stays_an_error(only: bool, cache: Path, store: str, snapshot: str) -> None:
    flipped(object_of(cache, SMALL))
    object_of(cache, LARGE).unlink()
    run = cli("verify-cache", "--purge", *(("--id", snapshot) if only else ()))
    assert run.code == 1
    assert f"removed object {blake3(FILES[SMALL]).hexdigest()} for ./{SMALL}" in run.stderr
    assert f"Missing object {blake3(FILES[SMALL]).hexdigest()}" not in run.stderr
    assert run.stderr.endswith("error: 1 corrupt + 1 missing object(s) in the cache\n")
    assert cli("verify-cache", "--purge").stderr.endswith("error: 0 corrupt + 2 missing object(s) in the cache\n")


def test_a_purge_for_one_snapshot_names_the_other_that_lost_an_object(
    isolated: Path, cache: Path, store: str, snapshot: str
) -> None:
    (isolated / "other").mkdir()
    (isolated / "other" / "own").write_bytes(b"own bytes")
    other = ok("stage", str(isolated / "other")).stdout.strip()
    digest = blake3(b"own bytes").hexdigest()
    flipped(keyed(cache / ".objects", digest))
    assert (
        f"removed object {digest} for ./own of snapshot {other}:"
        in ok("verify-cache", "--purge", "--id", snapshot).stderr
    )
    assert ok("verify-cache", "--id", snapshot).stderr == ""
