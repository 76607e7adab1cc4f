"""Objects read like files: the promises about their bytes."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import CorruptObject, LocalError, ObjectNotFound
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import EMPTY_DIGEST, Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.download.reading import Content, ObjectReader, Verify
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject
from tests.transfer.conftest import RecordingStore

LIMITS = dataclasses.replace(Limits(), large_bytes=256 * KIB, part_bytes=64 * KIB, memory_bytes=256 * KIB)
LARGE = os.urandom(MIB + 7)
SMALL = os.urandom(1000)


def planned(data: bytes, size: int | None = -1) -> PlannedObject:
    return PlannedObject(Digest(digest_of(data)), len(data) if size == -1 else size, "./file")


async def put(store: MemoryStore | FileStore, data: bytes, *, under: bytes | None = None) -> None:
    await store.write(object_key(digest_of(data if under is None else under)), data)


def reader(store: MemoryStore | FileStore, spool: Path) -> ObjectReader:
    return ObjectReader(Repository(store), LIMITS, spool=spool)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


async def whole(content: Content) -> bytes:
    return await content.read_at(0)


@pytest.mark.parametrize("data", [LARGE, SMALL, b"", b"x" * (256 * KIB), b"x" * (256 * KIB + 1)])
@pytest.mark.parametrize("verify", ["before", "after", "never"])
@pytest.mark.parametrize("size_known", [True, False])
@pytest.mark.parametrize("kind", ["remote", "local"])
async def test_the_whole_of_an_object(
    data: bytes, verify: Verify, size_known: bool, kind: str, spool: Path, tmp_path: Path
) -> None:
    store = RecordingStore() if kind == "remote" else FileStore(tmp_path / "store")
    await put(store, data)
    content = await reader(store, spool).open(planned(data, len(data) if size_known else None), verify)
    assert content.size == len(data)
    assert await whole(content) == data
    content.close()
    content.close()
    assert not spool.exists() or list(spool.iterdir()) == []


@given(st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 600)), max_size=6), st.sampled_from(["before", "never"]))
def test_any_range_of_an_object(ranges: list[tuple[int, int]], verify: Verify) -> None:
    data = LARGE[:1000]
    limits = dataclasses.replace(LIMITS, large_bytes=100, part_bytes=64)

    async def read_all() -> None:
        store = MemoryStore()
        await put(store, data)
        content = await ObjectReader(Repository(store), limits, spool=Path("/tmp")).open(planned(data), verify)
        for offset, length in ranges:
            assert await content.read_at(offset, length) == data[offset : offset + length]
        content.close()

    anyio.run(read_all)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=20))
def test_a_stream_gives_its_bytes_in_order_in_pieces_of_any_length(lengths: list[int]) -> None:
    data = LARGE[:1000]
    limits = dataclasses.replace(LIMITS, large_bytes=100, part_bytes=64)

    async def read_all() -> None:
        store = MemoryStore()
        await put(store, data)
        content = await ObjectReader(Repository(store), limits, spool=Path("unused")).open(planned(data), "after")
        offset = 0
        for length in lengths:
            piece = await content.read_at(offset, length)
            assert piece == data[offset : offset + length]
            offset += len(piece)

    anyio.run(read_all)


@pytest.mark.parametrize("data", [LARGE, SMALL])
@pytest.mark.parametrize("kind", ["remote", "local"])
async def test_verified_before_gives_no_byte_of_a_damaged_object(
    data: bytes, kind: str, spool: Path, tmp_path: Path
) -> None:
    store = RecordingStore() if kind == "remote" else FileStore(tmp_path / "store")
    await put(store, bytes([data[0] ^ 1]) + data[1:], under=data)
    content = await reader(store, spool).open(planned(data), "before")
    for _ in range(2):
        with pytest.raises(CorruptObject):
            await content.read_at(len(data) - 1, 1)
    assert not spool.exists() or list(spool.iterdir()) == []


async def test_verified_after_withholds_the_end_of_a_damaged_object(spool: Path) -> None:
    store = RecordingStore()
    await put(store, bytes([LARGE[0] ^ 1]) + LARGE[1:], under=LARGE)
    content = await reader(store, spool).open(planned(LARGE), "after")
    assert len(await content.read_at(0, 100)) == 100
    with pytest.raises(CorruptObject):
        await content.read_at(100)
    with pytest.raises((CorruptObject, ValueError)):
        await content.read_at(len(LARGE) - 1)


async def test_verified_after_has_no_way_back_and_no_way_past(spool: Path) -> None:
    store = RecordingStore()
    await put(store, LARGE)
    for first, then in ((400 * KIB, 0), (1, MIB)):
        content = await reader(store, spool).open(planned(LARGE), "after")
        await content.read_at(0, first)
        with pytest.raises(ValueError, match="sequential reads only"):
            await content.read_at(then, 1)


async def test_a_stream_holds_a_stretch_and_no_more(spool: Path) -> None:
    store = RecordingStore()
    await put(store, LARGE)
    content = await reader(store, spool).open(planned(LARGE), "after")
    await content.read_at(0, 1)
    assert store.kinds() == {"stat": 1, "write": 1, "read_into": LIMITS.memory_bytes // LIMITS.part_bytes}
    assert not spool.exists()


async def test_a_range_asks_for_its_bytes_only_and_an_open_for_nothing(spool: Path) -> None:
    store = RecordingStore()
    await put(store, LARGE)
    await put(store, SMALL)
    files = reader(store, spool)
    content = await files.open(planned(LARGE), "never")
    assert await content.read_at(500_000, 10) == LARGE[500_000:500_010]
    assert store.kinds() == {"write": 2, "stat": 1, "read_into": 1}
    content = await files.open(planned(SMALL), "before")
    assert store.kinds() == {"write": 2, "stat": 1, "read_into": 1}
    assert await content.read_at(5, 10) + await content.read_at(90, 3) == SMALL[5:15] + SMALL[90:93]
    assert store.kinds() == {"write": 2, "stat": 1, "read_into": 1, "read": 1}
    assert await whole(await files.open(PlannedObject(EMPTY_DIGEST, 0, "./empty"), "never")) == b""


@pytest.mark.parametrize("size", [5, len(LARGE) - 1, len(LARGE) + 1])
async def test_a_wrong_size_in_a_manifest_changes_nothing_once_read(size: int, spool: Path) -> None:
    store = RecordingStore()
    await put(store, LARGE)
    content = await reader(store, spool).open(planned(LARGE, size), "before")
    assert await whole(content) == LARGE
    assert content.size == len(LARGE)
    content.close()


@pytest.mark.parametrize("kind", ["remote", "local"])
@pytest.mark.parametrize("verify", ["before", "after", "never"])
async def test_a_lost_object_is_told(verify: Verify, kind: str, spool: Path, tmp_path: Path) -> None:
    store = MemoryStore() if kind == "remote" else FileStore(tmp_path)
    with pytest.raises(ObjectNotFound):
        await whole(await reader(store, spool).open(planned(LARGE), verify))


async def test_no_room_for_a_large_object_is_told(tmp_path: Path) -> None:
    store = RecordingStore()
    await put(store, LARGE)
    (tmp_path / "file").touch()
    content = await reader(store, tmp_path / "file" / "spool").open(planned(LARGE), "before")
    with pytest.raises(LocalError, match=str(tmp_path)):
        await whole(content)


async def test_what_was_verified_in_place_stays_when_the_object_is_removed(spool: Path, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    await put(store, LARGE)
    content = await reader(store, spool).open(planned(LARGE), "before")
    assert await content.read_at(0, 5) == LARGE[:5]
    await store.delete([object_key(digest_of(LARGE))])
    assert await whole(content) == LARGE
    content.close()


@pytest.mark.usefixtures("open_descriptors")
async def test_no_descriptor_is_left(spool: Path, tmp_path: Path) -> None:
    for store in (RecordingStore(), FileStore(tmp_path / "store")):
        await put(store, LARGE)
        await put(store, SMALL, under=SMALL[:-1] + b"?")
        content = await reader(store, spool).open(planned(LARGE), "before")
        await whole(content)
        content.close()
