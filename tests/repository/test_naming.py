"""From the first digits of an id to the snapshot that is meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import AmbiguousId, StoreMissing, UnknownId
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import manifest_key, manifest_prefix, object_key
from snapdir.repository.naming import IdSource, find_snapshot
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.testing.faults import FaultyStore

DIGITS = "0123456789abcdef"
ids = st.text(DIGITS, min_size=64, max_size=64)


def knowing(*known: str) -> Callable[[str], Awaitable[Sequence[str]]]:
    async def find(digits: str) -> Sequence[str]:
        return [snapshot_id for snapshot_id in known if snapshot_id.startswith(digits)]

    return find


@given(ids, st.integers(1, 64))
def test_a_manifests_key_starts_with_the_prefix_of_its_first_digits(snapshot_id: str, count: int) -> None:
    assert manifest_key(snapshot_id).startswith(manifest_prefix(snapshot_id[:count]))


@given(st.lists(ids, min_size=1, unique=True), st.integers(8, 64))
def test_the_one_id_with_these_digits_is_found_wherever_it_is_known(known: list[str], count: int) -> None:
    wanted = known[0]
    places = [IdSource("a", knowing(*known[::2])), IdSource("b", knowing(*known[1::2])), IdSource("c", knowing(wanted))]
    others = [other for other in known[1:] if other.startswith(wanted[:count])]

    async def find() -> SnapshotId:
        return await find_snapshot(wanted[:count], places)

    if others:
        with pytest.raises(AmbiguousId) as failed:
            anyio.run(find)
        assert failed.value.matches == tuple(sorted([wanted, *others]))
    else:
        assert anyio.run(find) == wanted


async def test_two_places_that_know_different_ids_are_ambiguous() -> None:
    first, second = "ab" * 8 + "0" * 48, "ab" * 8 + "1" * 48
    with pytest.raises(AmbiguousId, match=f"{first}, {second}; give more") as failed:
        await find_snapshot("ab" * 8, [IdSource("a", knowing(first)), IdSource("b", knowing(second))])
    assert failed.value.code == "INVALID_ID"


async def test_unknown_digits_are_told_with_the_places() -> None:
    with pytest.raises(UnknownId, match="no id in the cache or s3://b starts with 'abababab'") as failed:
        await find_snapshot("ab" * 4, [IdSource("the cache", knowing()), IdSource("s3://b", knowing())])
    assert (failed.value.code, failed.value.places) == ("STORE_ERROR", ("the cache", "s3://b"))


@pytest.mark.parametrize("count", [8, 9, 10, 12, 63])
@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_a_repository_finds_its_snapshots_in_one_page(kind: str, count: int, tmp_path: Path) -> None:
    store = MemoryStore() if kind == "memory" else FileStore(tmp_path)
    wanted = "0123456789ab" + "c" * 52
    for key in (manifest_key(wanted), manifest_key("f" * 64), object_key(wanted), manifest_key(wanted) + "-not-one"):
        await store.write(key, b"")
    assert await Repository(store).find_snapshots(wanted[:count]) == [wanted]


async def test_a_crowd_behind_one_prefix_costs_one_page() -> None:
    store = FaultyStore(MemoryStore(), page="ok deny")
    for number in range(1500):
        await store.write(manifest_key(f"{'ab' * 4}{number:056x}"), b"")
    assert len(await Repository(store).find_snapshots("ab" * 4)) == 1000


async def test_a_missing_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        await Repository(FileStore(tmp_path / "missing")).find_snapshots("ab" * 4)
