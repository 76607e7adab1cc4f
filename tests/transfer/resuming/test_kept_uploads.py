"""A push that stops reports how much of its uploads the store holds, from all runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NoReturn

import anyio
import pytest

from snapdir.cli import render
from snapdir.errors import ConnectionFailed
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from tests.transfer.resuming.resumable import CONTENT, PART, ResumableStore, cancel_push, push_noted


@pytest.fixture
def limits() -> Limits:
    """Two parts in flight, so that a stopped push has not sent all of them."""
    return dataclasses.replace(Limits(), large_bytes=PART, part_bytes=PART, memory_bytes=2 * PART)


async def cancel_at(point: str, tree: Path, store: ResumableStore, limits: Limits, cache: Path) -> Counters:
    """Cancel a push when it first calls the hook ``point`` of the store."""
    counters = Counters()
    with anyio.CancelScope() as scope:
        setattr(store, point, scope.cancel)
        await push_noted(tree, store, limits, cache, counters)
    assert scope.cancelled_caught
    setattr(store, point, lambda: None)
    return counters


@pytest.mark.parametrize("point", ["before_begin", "before_part", "part_arrived"])
async def test_a_second_stop_counts_what_the_first_run_has_sent(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path, point: str
) -> None:
    await cancel_push(tree, store, limits, cache, parts=3)
    (upload,) = store.uploads.values()
    had = upload.held_bytes
    assert had >= 2 * PART
    for _ in range(2):
        counters = await cancel_at(point, tree, store, limits, cache)
        assert (counters.kept_objects, counters.kept_bytes, counters.kept_in) == (1, upload.held_bytes, store.url)
        assert counters.kept_bytes >= had


async def test_a_push_whose_network_is_gone_counts_what_is_kept_from_before(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    class Unreachable(ResumableStore):
        def list(self, prefix: str, **_: object) -> NoReturn:
            raise ConnectionFailed(prefix)

    await cancel_push(tree, store, limits, cache, parts=3)
    (upload,) = store.uploads.values()
    counters = Counters()
    with pytest.raises(ConnectionFailed):
        await push_noted(tree, Unreachable(), limits, cache, counters)
    assert (counters.kept_objects, counters.kept_bytes) == (1, upload.held_bytes)


async def test_an_upload_without_a_whole_part_is_said_to_be_under_way(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    counters = await cancel_at("before_part", tree, store, limits, cache)
    assert [upload.held_bytes for upload in store.uploads.values()] == [0]
    assert render.kept(counters) == (
        "the upload of 1 object to memory:// has begun, but no part is complete; run the same command to resume"
    )


async def test_a_push_that_began_no_upload_says_nothing(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    counters = await cancel_at("before_begin", tree, store, limits, cache)
    assert (counters.kept_objects, render.kept(counters)) == (0, "")


async def test_an_upload_without_a_whole_part_is_not_counted_beside_one_that_has_some(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    for name, content in (("some", CONTENT), ("none", bytes(len(CONTENT)))):
        (tree / name).mkdir()
        (tree / name / "file").write_bytes(content)
    (tree / "large").unlink()
    await cancel_push(tree / "some", store, limits, cache, parts=3)
    (upload,) = store.uploads.values()
    await cancel_at("before_part", tree / "none", store, limits, cache)
    assert len(store.uploads) == 2
    counters = await cancel_at("before_begin", tree, store, limits, cache)
    assert (counters.kept_objects, counters.kept_bytes) == (1, upload.held_bytes)


@pytest.mark.parametrize("change", ["another tree", "changed file", "another part size", "part of the name"])
async def test_uploads_that_the_same_command_does_not_go_on_with_are_not_counted(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path, change: str
) -> None:
    await cancel_push(tree, store, limits, cache, parts=3)
    if change == "changed file":
        (tree / "large").write_bytes(CONTENT[:-1] + b"!")
    elif change == "another part size":
        limits = dataclasses.replace(limits, part_bytes=2 * PART)
    else:
        tree = tree.parent / ("other" if change == "another tree" else "tre")
        tree.mkdir()
        (tree / "large").write_bytes(CONTENT)
    counters = await cancel_at("before_begin", tree, store, limits, cache)
    assert (counters.kept_objects, counters.kept_bytes) == (0, 0)
