"""The snapshots of a repository whose ids start with some digits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import StoreMissing
from snapdir.model.keys import manifest_key, manifest_prefix, object_key
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.testing.faults import FaultyStore

DIGITS = "0123456789abcdef"
ids = st.text(DIGITS, min_size=64, max_size=64)


@given(ids, st.integers(1, 64))
def test_a_manifests_key_starts_with_the_prefix_of_its_first_digits(snapshot_id: str, count: int) -> None:
    assert manifest_key(snapshot_id).startswith(manifest_prefix(snapshot_id[:count]))


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
