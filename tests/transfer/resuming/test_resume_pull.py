"""A killed pull resumes where it stopped, and verifies everything it finds."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from snapdir.disk.claims import open_locked
from snapdir.disk.run_folder import CLAIMED
from snapdir.errors import AccessDenied
from snapdir.hashing.tree import manifest_id
from snapdir.model.manifest import Manifest
from snapdir.model.paths import STAGING_NAME
from snapdir.repository.repository import Repository
from snapdir.stores.blocks import MIN_BLOCK_BYTES
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.checkout import checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.fetch import FetchOptions, fetch
from tests.transfer.conftest import RecordingStore, nothing
from tests.transfer.resuming.killed_pulls import ALL, leave_killed_pull, left, parts_read, pull
from tests.transfer.resuming.resumable import CONTENT, DIGEST, KEY, PART, PARTS

SUBSETS: list[Collection[int]] = [(), (0,), range(5), (3,), (1, 4, 7), (PARTS - 1,), range(1, PARTS), ALL]


@pytest.mark.parametrize("had", SUBSETS, ids=str)
async def test_a_killed_pull_fetches_only_the_parts_that_are_missing(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, had: Collection[int]
) -> None:
    leave_killed_pull(out, left(had))
    counters = await pull(manifest, store, out, limits)
    assert parts_read(store) == [number for number in ALL if number not in had]
    missing = [CONTENT[number * PART : (number + 1) * PART] for number in ALL if number not in had]
    assert counters.bytes_received == sum(map(len, missing))
    assert counters.bytes_done == len(CONTENT)
    assert (out / "large").read_bytes() == CONTENT
    assert os.listdir(out) == ["large"]


@pytest.mark.parametrize("lost", [1, 3, PARTS])
async def test_parts_that_its_journal_does_not_reach_are_fetched(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, lost: int
) -> None:
    leave_killed_pull(out, left(ALL)[:-lost])
    await pull(manifest, store, out, limits)
    assert parts_read(store) == list(ALL[PARTS - lost :])
    assert (out / "large").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"\xff",
        CONTENT[: 5 * PART],
        CONTENT,
        CONTENT + PART.to_bytes(8, "little")[:7],
        CONTENT + bytes(8) + b"\1" * PARTS,
        CONTENT + b"nonsense" * 99,
        left(ALL, part_bytes=2 * PART),
        left(ALL, part_bytes=PART - 1),
    ],
    ids=["empty", "one byte", "no journal", "whole", "half a size", "no size", "nonsense", "large parts", "odd parts"],
)
async def test_without_a_journal_of_the_same_parts_it_is_begun_anew(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, rest: bytes
) -> None:
    leave_killed_pull(out, rest)
    counters = await pull(manifest, store, out, limits)
    assert parts_read(store) == list(ALL)
    assert counters.bytes_received == counters.bytes_done == len(CONTENT)
    assert (out / "large").read_bytes() == CONTENT


async def test_a_state_that_means_nothing_is_no_written_part(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    leave_killed_pull(out, left(ALL)[:-PARTS] + bytes([0xFF, 2, 1, 0, 1, 1, 1, 1, 1]))
    await pull(manifest, store, out, limits)
    assert parts_read(store) == [0, 1, 3]
    assert (out / "large").read_bytes() == CONTENT


DAMAGED = {
    "first byte": left(range(3), content=b"\xff" + CONTENT[1:]),
    "last byte": left(ALL, content=CONTENT[:-1] + b"\0"),
    "a part in the middle": left((2, 5), content=CONTENT[: 5 * PART] + bytes(len(CONTENT) - 5 * PART)),
    "holes only": left(ALL, content=bytes(len(CONTENT))),
}


@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_damaged_rest_is_found_by_the_hash_and_fetched_anew(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, damage: str
) -> None:
    rest = DAMAGED[damage]
    missing = rest[-PARTS:].count(0)
    leave_killed_pull(out, rest)
    counters = await pull(manifest, store, out, limits)
    # What is missing, by which the damage is found, and then all of it.
    assert len(parts_read(store)) == missing + PARTS
    assert counters.bytes_done == len(CONTENT)
    assert (out / "large").read_bytes() == CONTENT
    assert os.listdir(out) == ["large"]


async def test_a_rest_that_is_too_long_is_cut(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    leave_killed_pull(out, left(range(4)) + b"more" * PART)
    await pull(manifest, store, out, limits)
    assert parts_read(store) == list(ALL[4:])
    assert (out / "large").read_bytes() == CONTENT


@pytest.mark.parametrize("keep", [False, True])
async def test_a_pull_that_fails_leaves_what_it_wrote_only_on_request(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, keep: bool
) -> None:
    async def break_in_part_three(key: str, start: int) -> None:
        if start >= 3 * PART + MIN_BLOCK_BYTES:
            raise AccessDenied("denied from here on", key=key)

    store.before_piece = break_in_part_three
    options = CheckoutOptions(keep=keep)
    with pytest.raises(AccessDenied):
        await checkout(manifest, Repository(store), out, options=options, limits=limits, counters=Counters())
    assert (out / STAGING_NAME).exists() == keep
    assert not (out / "large").exists()
    store.before_piece = nothing
    store.streamed.clear()
    counters = await pull(manifest, store, out, limits)
    assert parts_read(store) == list(ALL[3 if keep else 0 :])
    assert counters.bytes_received == len(CONTENT) - (3 * PART if keep else 0)
    assert (out / "large").read_bytes() == CONTENT
    assert os.listdir(out) == ["large"]


async def test_a_rest_that_another_process_works_on_is_not_touched(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    file = leave_killed_pull(out, b"work of another process")
    held = await anyio.to_thread.run_sync(open_locked, file)
    try:
        await pull(manifest, store, out, limits)
        assert os.pread(held, 99, 0) == b"work of another process"
        assert os.fstat(held).st_size == 23
    finally:
        os.close(held)
    assert (out / "large").read_bytes() == CONTENT


async def test_two_pulls_into_one_directory_both_end_right(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    """The second begins while the first is in the middle, and ends while the first still is."""
    begun, ended = anyio.Event(), anyio.Event()
    waits = [True]

    async def wait_in_part_three(key: str, start: int) -> None:
        if waits and start >= 3 * PART:
            waits.clear()
            begun.set()
            await ended.wait()

    store.before_piece = wait_in_part_three
    async with anyio.create_task_group() as group:
        group.start_soon(pull, manifest, store, out, limits)
        await begun.wait()
        await pull(manifest, store, out, limits)
        assert (out / "large").read_bytes() == CONTENT
        ended.set()
    assert (out / "large").read_bytes() == CONTENT
    assert os.listdir(out) == ["large"]


async def test_a_pull_with_nothing_to_do_leaves_the_work_of_another_alone(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    await pull(manifest, store, out, limits)
    begun, ended = anyio.Event(), anyio.Event()
    (out / "large").unlink()

    async def wait(key: str, start: int) -> None:
        begun.set()
        await ended.wait()

    store.before_piece = wait
    async with anyio.create_task_group() as group:
        group.start_soon(pull, manifest, store, out, limits)
        await begun.wait()
        (out / "large").write_bytes(CONTENT)
        (out / "large").chmod(0o644)
        await pull(manifest, store, out, limits)
        ended.set()
    assert (out / "large").read_bytes() == CONTENT
    assert os.listdir(out) == ["large"]


async def test_a_killed_fetch_goes_on_too(
    manifest: Manifest, store: RecordingStore, tmp_path: Path, limits: Limits
) -> None:
    kept = tmp_path / "kept"
    cache = Repository(FileStore(kept, StoreSettings()))
    identifier = manifest_id(manifest)
    run = partial(
        fetch,
        identifier,
        Repository(store),
        cache,
        limits=limits,
        counters=Counters(),
        options=FetchOptions(StoreSettings()),
    )
    (kept / ".partial").mkdir(parents=True)
    (kept / ".partial" / (DIGEST + CLAIMED)).write_bytes(left((0, 2, 3, 6)))
    await run()
    assert parts_read(store) == [1, 4, 5, 7, 8]
    assert (kept / KEY).read_bytes() == CONTENT


async def test_a_killed_fetch_whose_journal_tells_of_parts_that_a_power_cut_took_begins_anew(
    manifest: Manifest, store: RecordingStore, tmp_path: Path, limits: Limits
) -> None:
    kept, options = tmp_path / "kept", FetchOptions(StoreSettings())
    cache = Repository(FileStore(kept, options.settings))
    (kept / ".partial").mkdir(parents=True)
    (kept / ".partial" / (DIGEST + CLAIMED)).write_bytes(DAMAGED["holes only"])
    await fetch(manifest_id(manifest), Repository(store), cache, options=options, limits=limits, counters=Counters())
    assert sorted(parts_read(store)) == list(ALL)
    assert (kept / KEY).read_bytes() == CONTENT
