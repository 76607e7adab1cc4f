"""What a verb says it has stored in a directory of this host is on the disk by then."""

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
Verb = Callable[["Places"], Awaitable[object]]


class Places:
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
    async def made(cls, folder: Path) -> Places:
        places = cls(folder, fsync=False)
        await anyio.to_thread.run_sync(places.make_tree)
        places.snapshot_id = await snapdir.push(places.tree, str(places.source), config=places.config)
        await snapdir.fetch(places.snapshot_id, str(places.source), config=places.config)
        pack = io.BytesIO()
        digests = [one.checksum for one in (await snapdir.manifest(places.tree, config=places.config)).files]
        await packs.send_pack(
            digests, str(places.source), pack.write, manifest_id=places.snapshot_id, config=places.config
        )
        places.pack = pack.getvalue()
        return places

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


async def push(places: Places) -> None:
    await snapdir.push(places.tree, str(places.target), config=places.config)


async def push_cached(places: Places) -> None:
    await snapdir.push_cached(places.snapshot_id, str(places.target), recheck=True, config=places.config)


async def stage(places: Places) -> None:
    await snapdir.stage(places.tree, config=places.into_target)


async def sync(places: Places) -> None:
    await snapdir.sync(places.snapshot_id, str(places.source), str(places.target), recheck=True, config=places.config)


async def sync_all(places: Places) -> None:
    await snapdir.sync_all(str(places.source), str(places.target), recheck=True, config=places.config)


async def fetch(places: Places) -> None:
    await snapdir.fetch(places.snapshot_id, str(places.source), config=places.into_target)


async def receive_pack(places: Places) -> None:
    await packs.receive_pack(io.BytesIO(places.pack).read, str(places.target), config=places.config)


async def repair(places: Places) -> None:
    await snapdir.verify(places.snapshot_id, str(places.target), repair_from=places.tree, config=places.config)


async def sync_again(places: Places) -> None:
    await snapdir.sync(places.snapshot_id, str(places.source), str(places.target), config=places.config)


async def sync_all_again(places: Places) -> None:
    config = replace(places.config, shared_catalog=False)  # copying the history flushes too
    await snapdir.sync_all(str(places.source), str(places.target), config=config)


async def push_cached_again(places: Places) -> None:
    await snapdir.push_cached(places.snapshot_id, str(places.target), config=places.config)


async def repair_again(places: Places) -> None:
    await push(places)
    await repair(places)


WRITING = [push, push_cached, stage, sync, sync_all, fetch, receive_pack]


@pytest.fixture
async def places(tmp_path: Path) -> Places:
    return await Places.made(tmp_path)


def with_flushes(places: Places, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What had its name at each flush of the filesystem; flushing is switched on from here."""
    flushes: list[set[str]] = []
    monkeypatch.setattr(writing, "sync_filesystem", lambda _: flushes.append(places.named()))
    places.config = Config(cache_dir=places.config.cache_dir)
    places.into_target = Config(cache_dir=places.target)
    return flushes


@pytest.mark.parametrize("verb", WRITING)
async def test_objects_are_on_the_disk_before_their_manifest(
    places: Places, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    flushes = with_flushes(places, monkeypatch)
    await verb(places)
    objects = {name for name in places.named() if name.startswith(".objects")}
    before = [named for named in flushes if manifest_key(places.snapshot_id) not in named]
    assert before[-1] == objects
    assert len(objects) == 2


@pytest.mark.parametrize("verb", [*WRITING, repair])
async def test_what_is_restored_is_on_the_disk_before_success(
    places: Places, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    await verb(places) if verb is not repair else await push(places)
    complete = places.named()
    await anyio.to_thread.run_sync(places.lose_objects)
    flushes = with_flushes(places, monkeypatch)
    await verb(places)
    assert flushes[-1] == places.named() == complete


@pytest.mark.parametrize(
    "verb", [push, push_cached_again, stage, sync_again, sync_all_again, fetch, receive_pack, repair_again]
)
async def test_what_a_killed_run_has_written_is_on_the_disk_before_success(
    places: Places, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    """It is all there, so nothing is written; but whoever was killed may have flushed none of it."""
    await verb(places)
    flushes = with_flushes(places, monkeypatch)
    await verb(places)
    assert flushes[-1] == places.named()


@pytest.mark.parametrize("verb", [*WRITING, repair])
async def test_nothing_is_flushed_where_that_is_switched_off(
    places: Places, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    await push(places)
    await anyio.to_thread.run_sync(places.lose_objects)
    monkeypatch.delattr(os, "fsync")
    monkeypatch.delattr(writing, "sync_filesystem")
    await verb(places)


async def test_a_push_that_fails_keeps_what_it_has_written(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = with_flushes(places, monkeypatch)
    monkeypatch.setattr("snapdir.transfer.upload.objects.hash_large_file", fail)
    with pytest.raises(OSError, match="broken"):
        await push(places)
    assert places.named() == {object_key(blake3(SMALL).hexdigest())}
    assert flushes == [set()], "its bytes first, and then its name"
    counters = Counters()
    monkeypatch.undo()
    await snapdir.push(places.tree, str(places.target), config=places.config, counters=counters)
    assert (counters.objects_skipped, counters.objects_sent) == (1, 1)


def fail(*_: object, **__: object) -> None:
    raise OSError("broken")


async def test_records_of_a_history_are_on_the_disk_when_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path)
    flushes: list[int] = []

    def records(folder: Path) -> int:
        return len([*(folder / ".catalog").rglob("*.json")])

    monkeypatch.setattr(writing, "sync_filesystem", lambda root: flushes.append(records(Path(root))))
    source, target = FileStore(places.source), FileStore(places.target)
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
