"""Packs between repositories: complete, verified, bounded, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from snapdir.errors import (
    CorruptObject,
    HashMismatchError,
    InvalidPack,
    ManifestNotFound,
    ObjectNotFound,
    SnapdirError,
    StoreError,
)
from snapdir.hashing.tree import directory_checksum, manifest_id
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.entry import Entry
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.model.pack import END, MAGIC, MAGIC_ZSTD, MANIFEST, OBJECT, record_line
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.packs.receive import ReceivedPack, receive_pack
from snapdir.transfer.packs.send import send_pack
from snapdir.transfer.packs.streams import PackOutput, pack_blocks
from tests.transfer.conftest import RecordingStore

# Everything above 64 bytes is large and goes in parts of 32: small packs take every path.
LIMITS = Limits(large_bytes=64, part_bytes=32, memory_bytes=256, jobs=3)
CONTENTS = (b"", b"small", b"l" * 200, b"another small one")


def digest_of(data: bytes) -> Digest:
    return Digest(blake3(data).hexdigest())


def snapshot(contents: tuple[bytes, ...] = CONTENTS) -> tuple[Manifest, SnapshotId]:
    files = [
        Entry("F", "644", blake3(data).hexdigest(), len(data), f"./{number}") for number, data in enumerate(contents)
    ]
    manifest = Manifest(
        [
            *files,
            Entry(
                "D", "755", directory_checksum(file.checksum for file in files), sum(file.size for file in files), "./"
            ),
        ]
    )
    return manifest, manifest_id(manifest)


async def holding(contents: tuple[bytes, ...] = CONTENTS) -> tuple[Repository, SnapshotId]:
    """A repository with one snapshot of ``contents``."""
    repository = Repository(MemoryStore())
    for data in contents:
        await repository.write_object(digest_of(data), data)
    manifest, identifier = snapshot(contents)
    await repository.write_manifest(manifest, identifier)
    return repository, identifier


async def packed(contents: tuple[bytes, ...] = CONTENTS, *, compressed: bool = False) -> bytes:
    source, identifier = await holding(contents)
    out = bytearray()
    digests = list(dict.fromkeys(map(digest_of, contents)))
    await send_pack(
        digests, source, out.extend, manifest_id=identifier, compressed=compressed, limits=LIMITS, counters=Counters()
    )
    return bytes(out)


def reading(pack: bytes, block_bytes: int = 50) -> Callable[[], bytes]:
    blocks = iter([pack[at : at + block_bytes] for at in range(0, len(pack), block_bytes)])
    return lambda: next(blocks, b"")


async def received(pack: bytes, to: Repository, *, required: Digest | None = None, block: int = 50) -> ReceivedPack:
    return await receive_pack(reading(pack, block), to, required=required, limits=LIMITS, counters=Counters())


def stored(repository: Repository) -> dict[str, bytes]:
    assert isinstance(repository.store, MemoryStore)
    return dict(repository.store.objects)


def assert_only_whole_objects(repository: Repository) -> None:
    for key, data in stored(repository).items():
        assert key == object_key(digest_of(data))


@settings(max_examples=60)
@given(
    contents=st.lists(st.binary(max_size=300), min_size=1, max_size=8).map(tuple),
    compressed=st.booleans(),
    block=st.integers(min_value=1, max_value=700),
)
async def test_what_is_sent_arrives(contents: tuple[bytes, ...], compressed: bool, block: int) -> None:  # PLB-05, -06
    source, identifier = await holding(contents)
    pack = await packed(contents, compressed=compressed)
    assert pack.startswith(MAGIC_ZSTD if compressed else MAGIC)
    to = Repository(MemoryStore())
    counts = await received(pack, to, required=identifier, block=block)
    assert stored(to) == stored(source)
    assert counts == (len(set(contents)), 0, identifier)
    assert await received(pack, to, block=block) == (0, len(set(contents)), identifier)


async def test_every_truncation_is_refused_and_a_whole_pack_completes_it() -> None:  # PLB-09
    for compressed in (False, True):
        pack = await packed(compressed=compressed)
        _, identifier = snapshot()
        for length in range(len(pack)):
            to = Repository(MemoryStore())
            with pytest.raises(InvalidPack):
                await received(pack[:length], to)
            assert_only_whole_objects(to)
        counts = await received(pack, to)
        assert counts.snapshot_id == identifier
        assert manifest_key(identifier) in stored(to)


async def test_what_was_right_before_the_damage_stays() -> None:
    pack = (await packed((b"first", b"second")))[: -len(END)] + b"nonsense\n"
    for block in (7, 10_000):
        to = Repository(MemoryStore())
        with pytest.raises(InvalidPack, match="follows the manifest"):
            await received(pack, to, block=block)
        assert set(stored(to)) == {object_key(digest_of(data)) for data in (b"first", b"second")}


async def test_every_changed_byte_is_refused() -> None:  # PLB-07
    pack = await packed()
    for position in range(len(pack)):
        for bit in (0, 5):  # the last one turns a digit of a digest into upper case
            changed = bytearray(pack)
            changed[position] ^= 1 << bit
            to = Repository(MemoryStore())
            with pytest.raises((InvalidPack, HashMismatchError)):
                await received(bytes(changed), to)
            assert_only_whole_objects(to)


@given(data=st.data())
async def test_a_changed_byte_of_a_compressed_pack_changes_nothing_or_is_refused(data: st.DataObject) -> None:
    pack = bytearray(await packed(compressed=True))
    position = data.draw(st.integers(min_value=0, max_value=len(pack) - 1))
    pack[position] ^= data.draw(st.integers(min_value=1, max_value=255))
    source, _ = await holding()
    to = Repository(MemoryStore())
    try:
        await received(bytes(pack), to)
    except (InvalidPack, HashMismatchError):
        assert_only_whole_objects(to)
    else:
        assert stored(to) == stored(source)


async def test_a_wrong_large_object_leaves_nothing(tmp_path: Path) -> None:
    to = Repository(FileStore(tmp_path / "store"))
    lie = record_line(OBJECT, Digest("ab" * 32), 200) + b"x" * 200
    with pytest.raises(HashMismatchError, match=r"of the pack: expected abab"):
        await received(MAGIC + lie + END, to)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("length", [2**63, 2**64 - 1])
async def test_an_impossible_length_is_refused(tmp_path: Path, length: int) -> None:
    to = Repository(FileStore(tmp_path / "store"))
    with pytest.raises((StoreError, SnapdirError)):
        await received(MAGIC + record_line(OBJECT, Digest("ab" * 32), length) + b"x", to)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_manifest_whose_objects_are_nowhere_is_not_published() -> None:
    manifest, identifier = snapshot()
    pack = MAGIC + record_line(MANIFEST, identifier, len(manifest.stored)) + manifest.stored + END
    to = Repository(MemoryStore())
    with pytest.raises(ObjectNotFound, match="neither in the pack nor in"):
        await received(pack, to)
    assert stored(to) == {}
    for data in CONTENTS:
        await to.write_object(digest_of(data), data)
    assert (await received(pack, to)).snapshot_id == identifier


async def test_a_manifest_in_another_form_is_refused() -> None:
    manifest, _ = snapshot()
    text = b"# a comment\n" + manifest.stored
    pack = MAGIC + record_line(MANIFEST, digest_of(text), len(text)) + text + END
    to = Repository(MemoryStore())
    with pytest.raises(InvalidPack, match="canonical form"):
        await received(pack, to)
    assert stored(to) == {}


async def test_the_required_manifest_must_come() -> None:  # PLB-10
    to = Repository(MemoryStore())
    with pytest.raises(InvalidPack, match="instead of abab"):
        await received(await packed(), to, required=Digest("ab" * 32))
    with pytest.raises(InvalidPack, match="does not contain the required"):
        await received(MAGIC + END, to, required=Digest("ab" * 32))


async def test_an_absent_object_ends_a_pack_before_its_last_line() -> None:  # PLB-11
    source, identifier = await holding()
    out = bytearray()
    with pytest.raises(ObjectNotFound, match="abab"):
        await send_pack(
            [digest_of(b"small"), Digest("ab" * 32)],
            source,
            out.extend,
            manifest_id=identifier,
            limits=LIMITS,
            counters=Counters(),
        )
    assert not out.endswith(END)


@pytest.mark.parametrize("content", [b"small", b"l" * 200])
async def test_a_damaged_object_ends_a_pack_before_its_last_line(content: bytes) -> None:
    source, _ = await holding()
    assert isinstance(source.store, MemoryStore)
    source.store.objects[object_key(digest_of(content))] = content[::-1].replace(b"l", b"m")
    out = bytearray()
    with pytest.raises(CorruptObject):
        await send_pack([digest_of(content)], source, out.extend, limits=LIMITS, counters=Counters())
    assert not out.endswith(END)


async def test_a_pack_is_plain_unless_it_is_asked_for_otherwise() -> None:
    out = bytearray()
    await send_pack([], (await holding())[0], out.extend, limits=LIMITS, counters=Counters())
    assert out == MAGIC + END


async def test_an_absent_manifest_is_told_before_anything_is_written() -> None:
    source, _ = await holding()
    out = bytearray()
    with pytest.raises(ManifestNotFound):
        await send_pack([], source, out.extend, manifest_id=Digest("ab" * 32), limits=LIMITS, counters=Counters())
    assert out == b""


async def test_a_receiver_asks_once_for_each_object_and_sends_what_is_new(store: RecordingStore) -> None:
    to = Repository(store)
    await to.write_object(digest_of(b"small"), b"small")
    store.calls.clear()
    await received(await packed(), to)
    assert store.kinds() == {"stat": len(CONTENTS), "read": 1, "write": len(CONTENTS) - 2 + 1, "begin_upload": 1}


def test_a_bomb_is_read_in_small_blocks() -> None:
    out = bytearray()
    bomb = PackOutput(out.extend, compressed=True)
    for _ in range(64):
        bomb.write(bytes(4 * MIB))
    bomb.finish()
    assert len(out) < MIB
    sizes = [len(block) for block in pack_blocks(reading(bytes(out), MIB))]
    assert sum(sizes) == 256 * MIB
    assert max(sizes) <= MIB


def test_a_frame_that_wants_a_huge_window_is_refused() -> None:
    # Magic number, a frame header without a content size, a window of 2 to the 41, one empty last block.
    frame = bytes.fromhex("28b52ffd 00 f8 010000".replace(" ", ""))
    with pytest.raises(InvalidPack, match="zstd frame is damaged"):
        list(pack_blocks(reading(MAGIC_ZSTD + frame)))


@pytest.mark.parametrize("head", [b"", b"SNAP", b"SNAPPACK 2\n", b"SNAPPACK 1", b"PK\x03\x04 and so on", b"\n"])
def test_what_is_no_pack_is_told_by_its_first_line(head: bytes) -> None:
    with pytest.raises(InvalidPack):
        list(pack_blocks(reading(head)))


def test_nothing_follows_a_frame() -> None:
    out = bytearray()
    output = PackOutput(out.extend, compressed=True)
    output.write(END)
    output.finish()
    for more in (b"x", bytes(out[len(MAGIC_ZSTD) :])):
        with pytest.raises(InvalidPack, match="follows"):
            list(pack_blocks(reading(bytes(out) + more)))
        with pytest.raises(InvalidPack, match="follows"):
            list(pack_blocks(reading(bytes(out) + more, len(out))))
