"""What a repository reads is verified, and what it writes is published last."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.errors import (
    CorruptManifest,
    CorruptObject,
    InvalidManifest,
    ManifestNotFound,
    ManifestTooLarge,
    ObjectNotFound,
)
from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model import pieces
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.entry import Entry
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.repository import repository as module
from snapdir.repository.repository import INLINE_HASH_BYTES, MANIFEST_BLOCK_BYTES, READ_ATTEMPTS, Repository
from snapdir.stores.base import Body, ObjectInfo
from snapdir.stores.blocks import MIN_BLOCK_BYTES, BlockSink
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.stores.wrapper import StoreWrapper
from snapdir.testing.faults import FaultyStore

DATA = b"some bytes"
DIGEST = digest_of(DATA)
MANIFEST = Manifest([Entry("F", "644", DIGEST, len(DATA), "./x"), Entry("D", "755", "1" * 64, len(DATA), "./")])
ID = manifest_id(MANIFEST)


@pytest.fixture
def objects() -> dict[str, bytes]:
    return {object_key(DIGEST): DATA, manifest_key(ID): MANIFEST.stored}


def reads(store: FaultyStore) -> int:
    return [kind for kind, _ in store.calls].count("read")


async def test_a_manifest_is_read_once_where_it_is_right(objects: dict[str, bytes]) -> None:
    store = FaultyStore(MemoryStore(objects))
    assert await Repository(store).read_manifest(ID) == MANIFEST
    assert reads(store) == 1


@pytest.mark.parametrize("words", ["flip", "short", "flip short"])
async def test_damage_on_the_way_is_read_again(objects: dict[str, bytes], words: str) -> None:
    store = FaultyStore(MemoryStore(objects), read=words)
    assert await Repository(store).read_manifest(ID) == MANIFEST
    assert reads(store) == len(words.split()) + 1
    again = FaultyStore(MemoryStore(objects), read=words)
    assert await Repository(again).read_object(DIGEST, len(DATA)) == DATA
    assert reads(again) == len(words.split()) + 1


@pytest.mark.parametrize(
    ("damaged", "error"),
    [
        (lambda stored: stored.replace(b"644", b"600"), CorruptManifest),
        (lambda stored: stored[:-3], CorruptManifest),
        (lambda stored: stored.replace(b"F ", b"X "), InvalidManifest),
        (lambda stored: b"\xff", InvalidManifest),
    ],
)
async def test_damage_in_the_store_is_an_error_that_names_the_manifest(
    objects: dict[str, bytes], damaged: Callable[[bytes], bytes], error: type[Exception]
) -> None:
    objects[manifest_key(ID)] = damaged(MANIFEST.stored)
    store = FaultyStore(MemoryStore(objects))
    with pytest.raises(error) as caught:
        await Repository(store).read_manifest(ID)
    assert manifest_key(ID) in "".join(caught.value.__notes__)
    assert reads(store) == READ_ATTEMPTS


async def test_what_is_absent_is_told_by_its_own_error(objects: dict[str, bytes]) -> None:
    repository = Repository(MemoryStore({}))
    with pytest.raises(ManifestNotFound):
        await repository.read_manifest(ID)
    with pytest.raises(ObjectNotFound):
        await repository.read_object(DIGEST, 10)
    assert await repository.object_size(DIGEST) is None
    assert await repository.shows_manifest(ID, stored_bytes=10, crc32c=0) is None
    assert await Repository(MemoryStore(objects)).object_size(DIGEST) == len(DATA)


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("keeps_checksum", [True, False])
async def test_a_manifest_is_shown_by_its_length_and_its_checksum(off: int, keeps_checksum: bool) -> None:
    text = MANIFEST.stored
    store = SilentStore(MemoryStore({manifest_key(ID): text}), keeps_checksum=keeps_checksum)
    shows = Repository(store).shows_manifest
    assert await shows(ID, stored_bytes=len(text) + off, crc32c=crc32c(text)) is (off == 0)
    assert await shows(ID, stored_bytes=len(text), crc32c=crc32c(text) + off) is (off == 0 or not keeps_checksum)


class SilentStore(StoreWrapper):
    """Tells a checksum only where it keeps one."""

    def __init__(self, inner: MemoryStore, *, keeps_checksum: bool) -> None:
        super().__init__(inner)
        self._keeps_checksum = keeps_checksum

    async def stat(self, key: str) -> ObjectInfo:
        info = await super().stat(key)
        return info if self._keeps_checksum else info._replace(crc32c=None)


@pytest.mark.parametrize(("stored", "said"), [(b"some byt", "only 8 bytes"), (DATA + b"x", "more than 10 bytes")])
async def test_the_last_range_of_an_object_says_how_long_it_is(stored: bytes, said: str) -> None:
    repository = Repository(MemoryStore({object_key(DIGEST): stored}))
    sink = BlockSink(memoryview(bytearray(MIN_BLOCK_BYTES)), lambda _: None)
    with pytest.raises(CorruptObject, match=said):
        await repository.read_range_through(DIGEST, sink, start=6, length=4, is_last=True)


@pytest.mark.parametrize("size", [10, INLINE_HASH_BYTES, INLINE_HASH_BYTES + 1])
@pytest.mark.parametrize("damage", [-1, 0, 1])
async def test_an_object_is_given_if_it_hashes_right_and_not_otherwise(size: int, damage: int) -> None:
    data = b"x" * size
    stored = data if not damage else data[:-1] if damage < 0 else data[:-1] + b"y"
    digest = digest_of(data)
    store = FaultyStore(MemoryStore({object_key(digest): stored}))
    if not damage:
        assert await Repository(store).read_object(digest, size) == data
        return
    with pytest.raises(CorruptObject, match=digest):
        await Repository(store).read_object(digest, size)
    assert reads(store) == READ_ATTEMPTS


async def test_an_object_that_ends_early_is_corrupt_and_tells_its_length(objects: dict[str, bytes]) -> None:
    repository = Repository(MemoryStore(objects))
    buffer = bytearray(4)
    await repository.read_range_into(DIGEST, memoryview(buffer), start=3)
    assert buffer == DATA[3:7]
    with pytest.raises(CorruptObject, match="an object of only 10 bytes"):
        await repository.read_range_into(DIGEST, memoryview(buffer), start=7)


async def test_a_last_range_has_room_for_a_byte_that_must_not_be_there(objects: dict[str, bytes]) -> None:
    await Repository(MemoryStore(objects)).read_range_into(DIGEST, memoryview(bytearray(8)), start=3, is_last=True)
    longer = Repository(MemoryStore({object_key(DIGEST): DATA + b"x"}))
    with pytest.raises(CorruptObject, match="an object of more than 10 bytes"):
        await longer.read_range_into(DIGEST, memoryview(bytearray(8)), start=3, is_last=True)


async def test_a_range_passes_through_whole_or_is_corrupt(objects: dict[str, bytes]) -> None:
    repository = Repository(MemoryStore(objects))
    received = bytearray()
    sink = BlockSink(memoryview(bytearray(MIN_BLOCK_BYTES)), received.extend)
    await repository.read_range_through(DIGEST, sink, start=1, length=3)
    await repository.read_range_through(DIGEST, sink, start=4, length=6)
    assert received == DATA[1:]
    with pytest.raises(CorruptObject, match="an object of only 10 bytes"):
        await repository.read_range_through(DIGEST, sink, start=8, length=3)


async def test_a_manifest_is_written_where_it_is_absent_torn_or_to_be_replaced() -> None:
    for there, replace, written, damaged in (
        (None, False, True, False),
        (MANIFEST.stored, False, False, False),
        (MANIFEST.stored[:-1], False, True, True),
        (MANIFEST.stored[:-2] + b"y\n", False, True, True),
        (MANIFEST.stored, True, True, False),
    ):
        keys = {} if there is None else {manifest_key(ID): there}
        store = FaultyStore(MemoryStore(keys))
        assert await Repository(store).write_manifest(MANIFEST, ID, replace=replace) is damaged
        assert keys == {manifest_key(ID): MANIFEST.stored}
        assert (("write", manifest_key(ID)) in store.calls) is written


async def test_damage_of_a_manifest_on_its_way_is_no_damage_of_the_store() -> None:
    store = FaultyStore(MemoryStore({manifest_key(ID): MANIFEST.stored}), read="flip short")
    assert await Repository(store).write_manifest(MANIFEST, ID) is False
    assert ("write", manifest_key(ID)) not in store.calls


class Noting(StoreWrapper):
    """Notes what is written and flushed, and by which store."""

    def __init__(self, name: str, events: list[str]) -> None:
        super().__init__(MemoryStore({}))
        self._name = name
        self._events = events

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        self._events.append(f"{self._name} written")
        return await super().write(key, body, if_absent=if_absent)

    async def flush(self) -> None:
        self._events.append(f"{self._name} flushed")
        await super().flush()


async def test_a_pool_is_flushed_before_the_manifest_that_relies_on_it() -> None:
    events: list[str] = []
    repository = Repository(Noting("store", events), Noting("pool", events))
    await repository.write_manifest(MANIFEST, ID)
    assert events == ["pool flushed", "store written"]


async def test_what_was_restored_below_a_manifest_that_stands_is_flushed() -> None:
    events: list[str] = []
    repository = Repository(Noting("store", events), Noting("pool", events))
    await repository.write_manifest(MANIFEST, ID)
    events.clear()
    await repository.write_manifest(MANIFEST, ID)
    assert sorted(events) == ["pool flushed", "store flushed"]
    alone = Repository(repository.store)
    events.clear()
    await alone.write_manifest(MANIFEST, ID)
    assert events == ["store flushed"]


async def test_a_pool_holds_the_objects_and_the_store_the_manifests(objects: dict[str, bytes]) -> None:
    manifests: dict[str, bytes] = {}
    pool: dict[str, bytes] = {}
    repository = Repository(MemoryStore(manifests), MemoryStore(pool))
    await repository.write_object(DIGEST, DATA)
    await repository.write_manifest(MANIFEST, ID)
    assert (manifests, pool) == ({manifest_key(ID): MANIFEST.stored}, {object_key(DIGEST): DATA})
    assert repository.location == f"{repository.store.url} {repository.objects.url}"
    assert Repository(repository.store).location == repository.url
    await repository.delete_object(DIGEST)
    assert pool == {}


async def test_the_published_snapshots_are_the_keys_of_the_layout(objects: dict[str, bytes]) -> None:
    other = Digest("0" * 64)
    objects |= {manifest_key(other): b"12345", ".manifests/not/a/manifest": b"", ".manifests/000": b""}
    repository = Repository(MemoryStore(objects))
    found = {one.snapshot_id: one.manifest_bytes async for one in repository.list_published()}
    assert found == {other: 5, ID: len(MANIFEST.stored)}
    assert await repository.find_snapshots(ID[:12]) == [SnapshotId(ID)]


def test_messages_name_an_object_by_its_store_and_key() -> None:
    repository = Repository(MemoryStore({}))
    assert f"{repository.url}/{object_key(DIGEST)}" in str(repository.damaged(DIGEST, "other bytes"))
    assert repository.local_object(DIGEST) is None
    assert f"{DIGEST} (for ./x) in {repository.url}" in str(repository.lacks(DIGEST, "./x"))
    assert "for" not in str(repository.lacks(DIGEST)).partition(DIGEST)[2]


@pytest.mark.parametrize("block_bytes", [1, 7, len(MANIFEST.stored) - 1, len(MANIFEST.stored)])
async def test_the_rest_of_a_long_manifest_is_read_at_once(
    objects: dict[str, bytes], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANIFEST_BLOCK_BYTES", block_bytes)
    store = FaultyStore(MemoryStore(objects))
    assert await Repository(store).read_manifest(ID) == MANIFEST
    assert reads(store) == 1 + (block_bytes < len(MANIFEST.stored))


@pytest.fixture
def long_manifest(monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """One that lies in a file, and is read and written as a long one."""
    monkeypatch.setattr(pieces, "MEMORY_BYTES", 0)
    monkeypatch.setattr(module, "MANIFEST_BLOCK_BYTES", 1000)
    monkeypatch.setattr(module, "READ_MANIFEST_BYTES", 1000)
    manifest = Manifest(Entry("F", "644", DIGEST, 4, f"./{number}") for number in range(1000))
    assert manifest.descriptor is not None
    return manifest


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_a_long_manifest_is_written_and_read_in_blocks(
    kind: str, long_manifest: Manifest, tmp_path: Path
) -> None:
    store = MemoryStore() if kind == "memory" else FileStore(tmp_path)
    identifier = manifest_id(long_manifest)
    repository = Repository(store)
    assert await repository.write_manifest(long_manifest, identifier) is False
    assert await store.read(manifest_key(identifier)) == long_manifest.stored
    assert await repository.read_manifest(identifier) == long_manifest
    assert await repository.write_manifest(long_manifest, identifier) is False
    for damaged in (long_manifest.stored[:-1], long_manifest.stored + b"\n", long_manifest.stored.replace(b"4", b"5")):
        await store.write(manifest_key(identifier), damaged)
        assert await repository.write_manifest(long_manifest, identifier) is True
        assert await store.read(manifest_key(identifier)) == long_manifest.stored


async def test_a_long_manifest_that_is_damaged_is_refused(long_manifest: Manifest) -> None:
    identifier, text = manifest_id(long_manifest), long_manifest.stored
    for damaged, error in ((text.replace(b"4", b"5"), CorruptManifest), (text + b"x", InvalidManifest)):
        with pytest.raises(error):
            await Repository(MemoryStore({manifest_key(identifier): damaged})).read_manifest(identifier)


async def test_a_manifest_that_becomes_shorter_while_it_is_read_is_read_to_its_end(
    objects: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANIFEST_BLOCK_BYTES", 10)

    class Shortened(StoreWrapper):
        async def stat(self, key: str) -> ObjectInfo:
            info = await super().stat(key)
            return info._replace(size=info.size + 1)

    with anyio.fail_after(10):
        assert await Repository(Shortened(MemoryStore(objects))).read_manifest(ID) == MANIFEST


@pytest.mark.parametrize("block_bytes", [10, MANIFEST_BLOCK_BYTES])
async def test_a_manifest_that_is_longer_than_allowed_is_read_no_further(
    objects: dict[str, bytes], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANIFEST_BLOCK_BYTES", block_bytes)
    length = len(MANIFEST.stored)
    store = FaultyStore(MemoryStore(objects))
    assert await Repository(store, max_manifest_bytes=length).read_manifest(ID) == MANIFEST
    store.calls.clear()
    with pytest.raises(ManifestTooLarge, match="--max-manifest-size") as raised:
        await Repository(store, max_manifest_bytes=length - 1).read_manifest(ID)
    assert raised.value.size == length
    assert reads(store) == 1, "asking again would not help"


async def test_a_manifest_that_is_longer_than_allowed_is_not_written() -> None:
    store = MemoryStore()
    with pytest.raises(ManifestTooLarge):
        await Repository(store, max_manifest_bytes=len(MANIFEST.stored) - 1).write_manifest(MANIFEST, ID)
    assert not store.objects


async def test_a_vast_manifest_of_nothing_is_refused(tmp_path: Path) -> None:
    def make() -> None:
        file = tmp_path / manifest_key(ID)
        file.parent.mkdir(parents=True)
        file.touch()
        os.truncate(file, 2**43)

    await anyio.to_thread.run_sync(make)
    with pytest.raises(ManifestTooLarge):
        await Repository(FileStore(tmp_path), max_manifest_bytes=2**32).read_manifest(ID)
