"""Data that a verb reports as stored in a local directory has been flushed to disk."""

from __future__ import annotations

import io
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from blake3 import blake3

import snapdir
from snapdir.api import packs
from snapdir.catalog.record import new_record
from snapdir.catalog.shared import copy_records, write_record
from snapdir.config import Config
from snapdir.model.keys import manifest_key, object_key
from snapdir.stores.file import writing
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.engine.events import Counters

SMALL, LARGE = b"small", b"large" * 500_000
Verb = Callable[["Setup"], Awaitable[object]]


class Setup:
    """A tree, a store that has it, and where a verb puts it: another store, or a cache."""

    def __init__(self, folder: Path, *, fsync: bool = True) -> None:
        self.folder = folder
        self.tree, self.source, self.target = folder / "tree", folder / "source", folder / "target"
        settings = StoreSettings(fsync=fsync)
        self.config = Config(cache_dir=folder / "cache", stores=settings)
        self.into_target = Config(cache_dir=self.target, stores=settings)
        self.snapshot_id = ""
        self.pack = b""

    @classmethod
    async def made(cls, folder: Path) -> Setup:
        setup = cls(folder, fsync=False)
        await anyio.to_thread.run_sync(setup.make_tree)
        setup.snapshot_id = await snapdir.push(setup.tree, str(setup.source), config=setup.config)
        await snapdir.fetch(setup.snapshot_id, str(setup.source), config=setup.config)
        pack = io.BytesIO()
        digests = [one.checksum for one in (await snapdir.manifest(setup.tree, config=setup.config)).files]
        await packs.send_pack(
            digests, str(setup.source), pack.write, manifest_id=setup.snapshot_id, config=setup.config
        )
        setup.pack = pack.getvalue()
        return setup

    def make_tree(self) -> None:
        self.tree.mkdir()
        (self.tree / "small").write_bytes(SMALL)
        (self.tree / "large").write_bytes(LARGE)

    def named(self) -> set[str]:
        """Everything below the target that has its final name."""
        files = {str(file.relative_to(self.target)) for file in self.target.rglob("*") if file.is_file()}
        return {name for name in files if name.startswith((".objects", ".manifests"))}

    def lose_objects(self) -> None:
        for name in self.named():
            if name.startswith(".objects"):
                (self.target / name).unlink()


async def push(setup: Setup) -> None:
    await snapdir.push(setup.tree, str(setup.target), config=setup.config)


async def push_cached(setup: Setup) -> None:
    await snapdir.push_cached(setup.snapshot_id, str(setup.target), recheck=True, config=setup.config)


async def stage(setup: Setup) -> None:
    await snapdir.stage(setup.tree, config=setup.into_target)


async def sync(setup: Setup) -> None:
    await snapdir.sync(setup.snapshot_id, str(setup.source), str(setup.target), recheck=True, config=setup.config)


async def sync_all(setup: Setup) -> None:
    await snapdir.sync_all(str(setup.source), str(setup.target), recheck=True, config=setup.config)


async def fetch(setup: Setup) -> None:
    await snapdir.fetch(setup.snapshot_id, str(setup.source), config=setup.into_target)


async def receive_pack(setup: Setup) -> None:
    await packs.receive_pack(io.BytesIO(setup.pack).read, str(setup.target), config=setup.config)


async def repair(setup: Setup) -> None:
    await snapdir.verify(setup.snapshot_id, str(setup.target), repair_from=setup.tree, config=setup.config)


async def sync_again(setup: Setup) -> None:
    await snapdir.sync(setup.snapshot_id, str(setup.source), str(setup.target), config=setup.config)


async def sync_all_again(setup: Setup) -> None:
    config = replace(setup.config, shared_catalog=False)  # copying the history flushes too
    await snapdir.sync_all(str(setup.source), str(setup.target), config=config)


async def push_cached_again(setup: Setup) -> None:
    await snapdir.push_cached(setup.snapshot_id, str(setup.target), config=setup.config)


async def repair_again(setup: Setup) -> None:
    await push(setup)
    await repair(setup)


WRITING = [push, push_cached, stage, sync, sync_all, fetch, receive_pack]


@pytest.fixture
async def setup(tmp_path: Path) -> Setup:
    return await Setup.made(tmp_path)


def with_flushes(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What had its name at each flush of the filesystem; flushing is switched on from here."""
    flushes: list[set[str]] = []
    monkeypatch.setattr(writing, "sync_filesystem", lambda _: flushes.append(setup.named()))
    setup.config = Config(cache_dir=setup.config.cache_dir)
    setup.into_target = Config(cache_dir=setup.target)
    return flushes


@pytest.mark.parametrize("verb", WRITING)
async def test_objects_are_on_the_disk_before_their_manifest(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    flushes = with_flushes(setup, monkeypatch)
    await verb(setup)
    objects = {name for name in setup.named() if name.startswith(".objects")}
    before = [named for named in flushes if manifest_key(setup.snapshot_id) not in named]
    assert before[-1] == objects
    assert len(objects) == 2


@pytest.mark.parametrize("verb", [*WRITING, repair])
async def test_what_is_restored_is_on_the_disk_before_success(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    await verb(setup) if verb is not repair else await push(setup)
    complete = setup.named()
    await anyio.to_thread.run_sync(setup.lose_objects)
    flushes = with_flushes(setup, monkeypatch)
    await verb(setup)
    assert flushes[-1] == setup.named() == complete


@pytest.mark.parametrize(
    "verb", [push, push_cached_again, stage, sync_again, sync_all_again, fetch, receive_pack, repair_again]
)
async def test_what_a_killed_run_has_written_is_on_the_disk_before_success(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    """It is all there, so nothing is written; but whoever was killed may have flushed none of it."""
    await verb(setup)
    flushes = with_flushes(setup, monkeypatch)
    await verb(setup)
    assert flushes[-1] == setup.named()


@pytest.mark.parametrize("verb", [*WRITING, repair])
async def test_nothing_is_flushed_where_that_is_switched_off(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    await push(setup)
    await anyio.to_thread.run_sync(setup.lose_objects)
    monkeypatch.delattr(os, "fsync")
    monkeypatch.delattr(writing, "sync_filesystem")
    await verb(setup)


async def test_a_push_that_fails_keeps_what_it_has_written(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = with_flushes(setup, monkeypatch)
    monkeypatch.setattr("snapdir.transfer.upload.objects.hash_large_file", fail)
    with pytest.raises(OSError, match="broken"):
        await push(setup)
    assert setup.named() == {object_key(blake3(SMALL).hexdigest())}
    assert flushes == [set()], "its bytes first, and then its name"
    counters = Counters()
    monkeypatch.undo()
    await snapdir.push(setup.tree, str(setup.target), config=setup.config, counters=counters)
    assert (counters.objects_skipped, counters.objects_sent) == (1, 1)


def fail(*_: object, **__: object) -> None:
    raise OSError("broken")


async def test_records_of_a_history_are_on_the_disk_when_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path)
    flushes: list[int] = []

    def records(folder: Path) -> int:
        return len([*(folder / ".catalog").rglob("*.json")])

    monkeypatch.setattr(writing, "sync_filesystem", lambda root: flushes.append(records(Path(root))))
    source, target = FileStore(setup.source), FileStore(setup.target)
    for number in range(3):
        await write_record(source, new_record("push", f"{number}" * 64, "/somewhere"))
    assert flushes == [1, 2, 3]
    flushes.clear()
    await copy_records(source, target)
    assert flushes == [0, 3], "the bytes of all in one flush, then the names"


async def test_a_store_that_flushes_nothing_has_its_records_at_once(tmp_path: Path) -> None:
    settings = StoreSettings(fsync=False)
    source, target = FileStore(tmp_path / "source", settings), FileStore(tmp_path / "target", settings)
    await write_record(source, new_record("push", "0" * 64, "/somewhere"))
    await copy_records(source, target)
    assert len([*(tmp_path / "target" / ".catalog").rglob("*.json")]) == 1
