"""A pull or fetch that is cancelled, or whose network fails, keeps the parts of a large object for the next one."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from snapdir.disk.run_folder import CLAIMED
from snapdir.errors import ConnectionFailed, StoreError
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
from tests.transfer.resuming.resumable import CONTENT, DIGEST, KEY, PART


async def test_a_pull_that_is_cancelled_keeps_what_it_wrote_of_a_large_object_alone(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    (out / STAGING_NAME).mkdir(parents=True)
    (out / STAGING_NAME / "small.0123").write_bytes(b"of a small object")
    counters = Counters()
    with anyio.CancelScope() as scope:

        async def cancel_in_part_three(key: str, start: int) -> None:
            if start >= 3 * PART + MIN_BLOCK_BYTES:
                scope.cancel()
                await anyio.lowlevel.checkpoint()

        store.before_piece = cancel_in_part_three
        await checkout(manifest, Repository(store), out, options=CheckoutOptions(), limits=limits, counters=counters)
    assert scope.cancelled_caught
    assert os.listdir(out) == [STAGING_NAME]
    assert os.listdir(out / STAGING_NAME) == [DIGEST + CLAIMED]
    assert (counters.kept_objects, counters.kept_bytes, counters.kept_in) == (1, 3 * PART, str(out / STAGING_NAME))
    await go_on(manifest, store, out, limits)


async def test_a_network_that_fails_keeps_it_too(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    await fail_in_part_three(ConnectionFailed("gone"), manifest, store, out, limits)
    assert os.listdir(out / STAGING_NAME) == [DIGEST + CLAIMED]
    await go_on(manifest, store, out, limits)


async def fail_in_part_three(
    error: StoreError, manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    async def fail(key: str, start: int) -> None:
        if start >= 3 * PART + MIN_BLOCK_BYTES:
            raise error

    store.before_piece = fail
    with pytest.raises(type(error)):
        await pull(manifest, store, out, limits)


async def go_on(manifest: Manifest, store: RecordingStore, out: Path, limits: Limits) -> None:
    store.before_piece = nothing
    store.streamed.clear()
    await pull(manifest, store, out, limits)
    assert parts_read(store) == list(ALL[3:])
    assert (out / "large").read_bytes() == CONTENT
    assert os.listdir(out) == ["large"]


async def test_nothing_is_kept_of_an_object_of_which_no_part_has_come(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits
) -> None:
    counters = Counters()
    with anyio.CancelScope() as scope:

        async def cancel(key: str, start: int) -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        store.before_piece = cancel
        await checkout(manifest, Repository(store), out, options=CheckoutOptions(), limits=limits, counters=counters)
    assert os.listdir(out) == []
    assert counters.kept_objects == 0


async def test_a_pull_that_is_cancelled_while_a_second_copy_is_made_keeps_the_first(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = next(entry for entry in manifest.entries if entry.is_file)
    twice = Manifest([*manifest.entries, entry._replace(path="./large-copy")])
    counters = Counters()
    with anyio.CancelScope() as scope:
        copy = os.copy_file_range

        def cancel(*args: int) -> int:
            anyio.from_thread.run_sync(scope.cancel)
            return copy(*args[:2], PART, *args[3:])

        monkeypatch.setattr(os, "copy_file_range", cancel)
        await checkout(
            twice, Repository(store), out, options=CheckoutOptions(clone=False), limits=limits, counters=counters
        )
    monkeypatch.undo()
    assert scope.cancelled_caught
    assert os.listdir(out / STAGING_NAME) == [DIGEST + CLAIMED]
    assert counters.kept_bytes == len(CONTENT)
    store.streamed.clear()
    await pull(twice, store, out, limits)
    assert store.streamed == []
    assert (out / "large").read_bytes() == (out / "large-copy").read_bytes() == CONTENT


async def test_a_large_object_that_waits_for_its_hash_stops_at_the_next_block(
    manifest: Manifest, store: RecordingStore, out: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leave_killed_pull(out, left(ALL))
    blocks = []
    with anyio.CancelScope() as scope:
        read = os.preadv

        def cancel(*args: Any) -> int:
            blocks.append(args)
            anyio.from_thread.run_sync(scope.cancel)
            return read(*args)

        monkeypatch.setattr(os, "preadv", cancel)
        await pull(manifest, store, out, limits)
    monkeypatch.undo()
    assert scope.cancelled_caught
    assert len(blocks) == 1
    assert file.read_bytes() == left(ALL)


async def test_a_fetch_that_is_cancelled_goes_on_too(
    manifest: Manifest, store: RecordingStore, tmp_path: Path, limits: Limits
) -> None:
    kept, counters = tmp_path / "kept", Counters()
    cache = Repository(FileStore(kept, StoreSettings()))
    options = FetchOptions(StoreSettings())
    run = partial(fetch, manifest_id(manifest), Repository(store), cache, options=options, limits=limits)
    with anyio.CancelScope() as scope:

        async def cancel_in_part_three(key: str, start: int) -> None:
            if start >= 3 * PART:
                scope.cancel()
                await anyio.lowlevel.checkpoint()

        store.before_piece = cancel_in_part_three
        await run(counters=counters)
    assert os.listdir(kept / ".partial") == [DIGEST + CLAIMED]
    assert (counters.kept_bytes, counters.kept_in) == (3 * PART, str(kept / ".partial"))
    store.before_piece = nothing
    store.streamed.clear()
    await run(counters=Counters())
    await cache.store.aclose()
    assert parts_read(store) == list(ALL[3:])
    assert (kept / KEY).read_bytes() == CONTENT
    assert os.listdir(kept / ".partial") == []
