"""Pushes recorded locally and in the store, and the records of other machines read back."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest

from snapdir.catalog.catalog import Catalog
from snapdir.catalog.exchange import note, read_history
from snapdir.catalog.lineage import ancestors
from snapdir.catalog.record import Provenance, Record
from snapdir.errors import StoreError
from snapdir.model.keys import RECORDS
from snapdir.stores.memory import MemoryStore
from snapdir.testing.faults import FaultyStore

HERE = "s3://bucket/sets"
A, B, C = ("aa" * 32, "bb" * 32, "cc" * 32)


@pytest.fixture
def catalog(tmp_path: Path):
    with Catalog(tmp_path / "catalog.sqlite3") as opened:
        yield opened


@pytest.fixture
def fresh():
    """The empty catalog of another machine."""
    with Catalog(None) as opened:
        yield opened


async def push(catalog: Catalog, store: object, snapshot_id: str, provenance: Provenance | None = None) -> None:
    await note(catalog, "push", snapshot_id, HERE, provenance=provenance, shared=store)  # type: ignore[arg-type]


async def records(catalog: Catalog) -> list[Record]:
    return await anyio.to_thread.run_sync(catalog.records)


async def history(catalog: Catalog) -> list[tuple[str, str | None]]:
    return [(record.id, record.previous_id) for record in await records(catalog)]


async def test_a_push_adds_one_record_here_and_the_same_in_the_store(catalog: Catalog, fresh: Catalog) -> None:
    store = MemoryStore()
    await push(catalog, store, A, Provenance(note="first"))
    (key,) = store.objects
    assert key.startswith(RECORDS)
    assert await read_history(fresh, store, HERE) == []
    assert await records(fresh) == await records(catalog)


async def test_what_is_the_latest_already_asks_the_store_nothing(catalog: Catalog) -> None:
    store = FaultyStore(MemoryStore())
    await push(catalog, store, A)
    before = list(store.calls)
    await push(catalog, store, A)
    assert store.calls == before


async def test_something_new_to_say_of_the_latest_is_a_record(catalog: Catalog) -> None:
    store = MemoryStore()
    await push(catalog, store, A)
    await push(catalog, store, A, Provenance(note="said later"))
    assert len(store.objects) == 2


async def test_a_changed_push_is_a_listing_and_a_write(catalog: Catalog) -> None:
    store = FaultyStore(MemoryStore())
    await push(catalog, store, A)
    store.calls.clear()
    await push(catalog, store, B)
    assert [kind for kind, _ in store.calls if kind != "page"] == ["write"]


async def test_a_machine_that_pushes_for_the_first_time_goes_on_from_the_newest(
    catalog: Catalog, fresh: Catalog
) -> None:
    store = MemoryStore()
    for snapshot_id in (A, B):
        await push(catalog, store, snapshot_id)
    await push(fresh, store, C)
    assert await history(fresh) == [(C, B), (B, A)]
    await read_history(catalog, store, HERE)
    assert await history(catalog) == [(C, B), (B, A), (A, None)]


async def test_two_machines_in_turn_make_one_chain(catalog: Catalog, fresh: Catalog) -> None:
    store = MemoryStore()
    await push(catalog, store, A)
    await push(fresh, store, B)
    await push(catalog, store, C)
    await read_history(fresh, store, HERE)
    assert [found.id for found in ancestors(await records(fresh), C)] == [B, A]


async def test_a_first_push_that_is_the_newest_elsewhere_adds_nothing(catalog: Catalog, fresh: Catalog) -> None:
    store = MemoryStore()
    await push(catalog, store, A)
    await push(fresh, store, A)
    assert len(store.objects) == 1


async def test_a_store_left_alone_has_no_history(catalog: Catalog) -> None:
    store = MemoryStore()
    await push(catalog, None, A)
    assert store.objects == {}
    assert await history(catalog) == [(A, None)]


async def test_a_store_that_refuses_leaves_the_record_here(catalog: Catalog) -> None:
    with pytest.raises(StoreError):
        await push(catalog, FaultyStore(MemoryStore(), write="deny"), A)
    assert await history(catalog) == [(A, None)]


async def test_who_may_write_and_not_list_adds_a_record(catalog: Catalog) -> None:
    store = MemoryStore()
    await push(catalog, FaultyStore(store, page="deny"), A)
    assert len(store.objects) == 1


async def test_reading_again_reads_no_record_twice(catalog: Catalog, fresh: Catalog) -> None:
    store = FaultyStore(MemoryStore())
    for snapshot_id in (A, B, C):
        await push(catalog, store, snapshot_id)
    await read_history(fresh, store, HERE)
    store.calls.clear()
    await read_history(fresh, store, HERE)
    assert {kind for kind, _ in store.calls} == {"page"}


async def test_a_pusher_reads_its_own_records_never(catalog: Catalog) -> None:
    store = FaultyStore(MemoryStore())
    for snapshot_id in (A, B, C):
        await push(catalog, store, snapshot_id)
    await read_history(catalog, store, HERE)
    assert "read" not in [kind for kind, _ in store.calls]


async def test_what_is_no_record_is_told(catalog: Catalog) -> None:
    key = f"{RECORDS}2026/01/01T000000.000-{'ab' * 16}.json"
    assert await read_history(catalog, MemoryStore({key: b"{}"}), HERE) == [key]
    assert await records(catalog) == []
