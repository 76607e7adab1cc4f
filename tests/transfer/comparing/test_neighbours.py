"""The snapshots of a store one after another: the same numbers as comparing and measuring whole manifests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import CorruptManifest, InvalidManifest, ManifestNotFound
from snapdir.hashing.tree import manifest_id
from snapdir.model.digest import SnapshotId
from snapdir.model.entry import Entry
from snapdir.model.keys import manifest_key
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published, Repository
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.comparing.diff import compare, union
from snapdir.transfer.comparing.neighbours import Neighbours, compare_neighbours
from snapdir.transfer.comparing.sizes import measure
from snapdir.transfer.engine.limits import Limits
from tests.transfer.conftest import RecordingStore

ONE = Manifest([Entry("D", "755", "00" * 32, 0, "./"), Entry("F", "644", "aa" * 32, 5, "./a")])
TWO = Manifest([*ONE.entries, Entry("F", "644", "bb" * 32, 7, "./b"), Entry("F", "644", "aa" * 32, 5, "./c")])

contents = st.sampled_from([("aa" * 32, 5), ("bb" * 32, 7), ("cc" * 32, 11)])
files = st.dictionaries(
    st.sampled_from(["./a", "./b", "./c", "./d/e"]), st.tuples(contents, st.sampled_from(["644", "755"]))
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    found = draw(files)
    entries = [Entry("F", mode, checksum, size, path) for path, ((checksum, size), mode) in found.items()]
    return Manifest([Entry("D", "755", draw(st.sampled_from(["00" * 32, "11" * 32])), 0, "./"), *entries])


async def compared(*stored: Manifest, max_listed: int = 100, limits: Limits | None = None) -> Neighbours:
    store = MemoryStore()
    published = [await put(store, manifest) for manifest in stored]
    return await compare_neighbours(Repository(store), published, limits=limits or Limits(), max_listed=max_listed)


async def put(store: MemoryStore, manifest: Manifest, *, damage: bytes = b"") -> Published:
    identifier = manifest_id(manifest)
    await store.write(manifest_key(identifier), damage or manifest.stored)
    return Published(identifier, len(manifest.stored), None)


@given(st.lists(manifests(), max_size=5, unique=True), st.sampled_from([1, 10**9]))
async def test_numbers_are_those_of_whole_manifests(stored: list[Manifest], memory_bytes: int) -> None:
    found = await compared(*stored, limits=Limits(memory_bytes=memory_bytes))
    assert found.total == measure(stored)
    assert sum(each.new_bytes for each in found.snapshots.values()) == found.total.physical_bytes
    for before, after in zip([Manifest(()), *stored], stored, strict=False):
        one = found.snapshots[manifest_id(after)]
        assert (one.files, one.size_bytes) == (measure([after]).files, measure([after]).logical_bytes)
        assert list(one.changes.listed) == list(compare(union([before]), union([after])))
        assert one.changes.left_out == 0
        assert one.changes.bytes_added - one.changes.bytes_removed == one.size_bytes - measure(
            [before]
        ).logical_bytes - sum(
            entry.after.size - entry.before.size for entry in one.changes.listed if entry.status == "="
        )


async def test_a_size_that_was_too_large_makes_no_bytes_less_than_none() -> None:
    link = Manifest([Entry("F", "777", "aa" * 32, 900, "./a")])
    file = Manifest([Entry("F", "644", "aa" * 32, 5, "./a")])
    found = await compared(link, file)
    assert ([each.new_bytes for each in found.snapshots.values()], found.total.physical_bytes) == ([900, 0], 5)


async def test_every_manifest_is_read_once() -> None:
    store = RecordingStore()
    published = [await put(store, manifest) for manifest in (ONE, TWO)]
    await compare_neighbours(Repository(store), published, limits=Limits(), max_listed=1)
    assert {key: count for (kind, key), count in store.calls.items() if kind == "read"} == {
        manifest_key(each.snapshot_id): 1 for each in published
    }


async def test_what_is_listed_is_bounded_and_the_rest_counted() -> None:
    found = (await compared(ONE, TWO, max_listed=1)).snapshots[manifest_id(TWO)].changes
    assert (found.previous_id, found.added, found.bytes_added) == (manifest_id(ONE), 2, 12)
    assert ([entry.path for entry in found.listed], found.left_out) == (["./b"], 1)


async def test_what_a_snapshot_shares_with_earlier_ones_is_not_new() -> None:
    found = await compared(ONE, TWO)
    assert [each.new_bytes for each in found.snapshots.values()] == [5, 7]


async def test_a_manifest_that_cannot_be_read_is_named_and_its_neighbours_are_compared() -> None:
    store = MemoryStore()
    three = Manifest([*ONE.entries, Entry("F", "644", "cc" * 32, 1, "./x")])
    four = Manifest([*ONE.entries, Entry("F", "644", "cc" * 32, 1, "./y")])
    wrong, garbage = await put(store, three, damage=ONE.stored), await put(store, four, damage=b"garbage\n")
    absent = Published(SnapshotId("ee" * 32), 100, None)
    published = [await put(store, ONE), wrong, garbage, absent, await put(store, TWO)]
    found = await compare_neighbours(Repository(store), published, limits=Limits(), max_listed=9)
    assert {id_: type(error) for id_, error in found.unreadable.items()} == {
        wrong.snapshot_id: CorruptManifest,
        garbage.snapshot_id: InvalidManifest,
        absent.snapshot_id: ManifestNotFound,
    }
    assert list(found.snapshots) == [manifest_id(ONE), manifest_id(TWO)]
    assert found.snapshots[manifest_id(TWO)].changes.previous_id == manifest_id(ONE)
