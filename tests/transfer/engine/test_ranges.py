"""Large objects in order, through memory: transfers that end while a thread holds a part."""

from __future__ import annotations

import dataclasses
import os
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from blake3 import blake3

from snapdir.errors import StoreRefused, ungrouped
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import MIB, TIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Capabilities, ObjectInfo
from snapdir.stores.file.store import FileStore
from snapdir.transfer.download.reading import ObjectReader
from snapdir.transfer.engine import ranges
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.packs.send import send_pack
from snapdir.transfer.upload.object_copy import ObjectCopier
from snapdir.transfer.verify import find_damage
from tests.transfer.conftest import RecordingStore

PART = 1000
CONTENT = os.urandom(5 * PART + 7)
LIMITS = Limits(large_bytes=PART, part_bytes=PART, memory_bytes=100 * PART)
OBJECT = PlannedObject(Digest(digest_of(CONTENT)), len(CONTENT), "./large")
HANG_SECONDS = 30

# What would hang is a thread that waits for the loop: only the end of the whole process is its end.
pytestmark = pytest.mark.timeout(HANG_SECONDS, method="thread")

Verb = Callable[[Repository, Path], Awaitable[object]]


async def copy_into_directory(source: Repository, folder: Path) -> None:
    target = Repository(FileStore(folder / "store"))
    await ObjectCopier(source, target, LIMITS, Counters()).copy_all([OBJECT])


async def write_pack(source: Repository, folder: Path) -> None:
    with (folder / "pack").open("wb") as pack:
        await send_pack([OBJECT.digest], source, pack.write, limits=LIMITS, counters=Counters())


async def read_through_spool(source: Repository, folder: Path) -> None:
    (await ObjectReader(source, LIMITS, spool=folder / "spool").verified(OBJECT)).close()


async def check(source: Repository, folder: Path) -> None:
    await find_damage([OBJECT], source, limits=LIMITS, counters=Counters())


class Interrupted(RecordingStore):
    """Gives the first range; while its bytes are hashed, the second one ``interrupts``, and the third never comes.

    Attributes:
        hashing: A thread has begun to hash.
        cancelled: The third range was cancelled, and with it the scope of the task that waits for the thread.
    """

    def __init__(self, interrupt: Callable[[], None] | None) -> None:
        super().__init__()
        self.objects[object_key(OBJECT.digest)] = CONTENT
        self.hashing = anyio.Event()
        self.cancelled = threading.Event()
        self.interrupt = interrupt

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        if start == PART and self.interrupt is not None:
            await self.hashing.wait()
            self.interrupt()
        if start >= PART and self.interrupt is not None:
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
        return await super().read_into(key, buffer, start=start)


class HeldHasher:
    """BLAKE3 that is not done with the first part before the transfer was cancelled."""

    def __init__(self, store: Interrupted) -> None:
        self._hasher = blake3()
        self._store = store

    def update(self, data: memoryview) -> None:
        self._hasher.update(data)
        anyio.from_thread.run_sync(self._store.hashing.set)
        self._store.cancelled.wait()


def refuse() -> None:
    raise StoreRefused("the second range (on request)")


VERBS = pytest.mark.parametrize("verb", [copy_into_directory, write_pack, read_through_spool, check])


@VERBS
async def test_a_range_that_fails_while_another_is_hashed_ends_the_transfer(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Interrupted(refuse)
    monkeypatch.setattr(ranges, "blake3", lambda: HeldHasher(store))
    with pytest.raises(StoreRefused, match="on request"):
        await unwrapped(verb(Repository(store), tmp_path))
    assert store.cancelled.is_set()


@VERBS
async def test_a_transfer_cancelled_while_a_range_is_hashed_ends(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.CancelScope() as scope:
        store = Interrupted(scope.cancel)
        monkeypatch.setattr(ranges, "blake3", lambda: HeldHasher(store))
        await verb(Repository(store), tmp_path)
    assert scope.cancelled_caught
    assert store.cancelled.is_set()


async def test_a_read_that_failed_gives_its_memory_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` and `sync --all` go on with other objects: three parts of this one would be all the memory there is."""
    limits = dataclasses.replace(LIMITS, memory_bytes=3 * PART)
    store = Interrupted(refuse)
    reader = ObjectReader(Repository(store), limits, spool=tmp_path / "spool")
    with monkeypatch.context() as patch:
        patch.setattr(ranges, "blake3", lambda: HeldHasher(store))
        with pytest.raises(StoreRefused):
            await reader.verified(OBJECT)
    store.interrupt = None
    content = await reader.verified(OBJECT)
    assert await content.read_at(0) == CONTENT
    content.close()


async def test_more_copies_than_threads_end(tmp_path: Path) -> None:
    """Each part of a copy takes a thread for its hash and then one for its writing, never both at once."""
    source = RecordingStore()
    contents = [os.urandom(PART + 1) for _ in range(2 * 40)]  # anyio has 40 threads
    for data in contents:
        source.objects[object_key(digest_of(data))] = data
    source.capabilities = source.capabilities._replace(max_concurrency=len(contents))
    target = FileStore(tmp_path)
    objects = [PlannedObject(Digest(digest_of(data)), len(data), "./file") for data in contents]
    limits = Limits(large_bytes=PART, part_bytes=PART, jobs=len(contents))
    await ObjectCopier(Repository(source), Repository(target), limits, Counters()).copy_all(objects)
    for data in contents:
        assert (tmp_path / object_key(digest_of(data))).read_bytes() == data


async def unwrapped(work: Awaitable[object]) -> None:
    """``work``, whose one failure leaves as itself."""
    try:
        await work
    except Exception as error:
        leaf = error
        while isinstance(leaf, ExceptionGroup):
            (leaf,) = leaf.exceptions
        raise leaf from None


def cut_objects(count: int) -> tuple[RecordingStore, list[PlannedObject]]:
    """Large objects that end early, and a sound one behind them."""
    store = RecordingStore()
    objects = []
    for number in range(count + 1):
        content = bytes([number]) * 50 * PART
        one = PlannedObject(Digest(digest_of(content)), len(content), f"./{number}")
        objects.append(one)
        store.objects[object_key(one.digest)] = content if number == count else content[: 3 * PART + 1]
    return store, objects


async def test_each_object_that_ends_early_is_named_and_gives_its_memory_back() -> None:
    store, objects = cut_objects(6)
    limits = Limits(large_bytes=PART, part_bytes=PART, memory_bytes=20 * PART)
    found = await find_damage(objects, Repository(store), limits=limits, counters=Counters())
    assert [one for one, _ in found] == objects[:-1]


@pytest.mark.parametrize("verb", [copy_into_directory, write_pack, read_through_spool, check])
async def test_a_size_that_is_wrong_in_the_manifest_is_asked_for(
    verb: Callable[[Repository, Path], Awaitable[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordingStore()
    store.objects[object_key(OBJECT.digest)] = CONTENT
    for size in (len(CONTENT) + 3 * PART, 2**45, 2**63, 2**64 - 1):
        monkeypatch.setattr(OBJECT, "size", size)
        tracemalloc.start()
        try:
            await verb(Repository(store), tmp_path)
            assert tracemalloc.get_traced_memory()[1] < 32 * MIB
        finally:
            tracemalloc.stop()


async def test_parts_that_no_memory_holds_are_refused_before_any_is_made() -> None:
    vast = 40 * TIB
    source, target = RecordingStore(), RecordingStore()
    target.capabilities = Capabilities()
    source.capabilities = Capabilities()

    async def stat(key: str) -> ObjectInfo:
        return ObjectInfo(key, vast)

    source.stat = stat  # type: ignore[method-assign]
    copier = ObjectCopier(Repository(source), Repository(target), Limits(), Counters())
    with pytest.raises(StoreRefused, match="--memory"), ungrouped("copy"):
        await copier.copy_all([PlannedObject(OBJECT.digest, vast, "./vast")])
    assert not target.objects
