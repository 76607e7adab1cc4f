"""The shared history of a store: complete, read once, every record checked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.catalog.record import Record, new_record, timestamp
from snapdir.catalog.shared import MAX_RECORD_BYTES, OVERLAP, SharedHistory, copy_records, write_record
from snapdir.errors import AccessDenied, StoreError
from snapdir.model.keys import RECORDS, record_key, record_of_key, records_since
from snapdir.stores.base import Page
from snapdir.stores.memory import MemoryStore
from snapdir.stores.wrapper import StoreWrapper
from tests.unsorted import by_hash

HERE = "s3://bucket/sets"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def record_at(moment: datetime, number: int = 1, *, location: str = HERE) -> Record:
    return new_record("push", f"{number:064x}", location, created_at=timestamp(moment))


class CountingStore(StoreWrapper):
    """Records the requests to the store it wraps."""

    def __init__(self, *, listed_by: Callable[[str], str] = str) -> None:
        inner = MemoryStore(listed_by=listed_by)
        inner.capabilities = inner.capabilities._replace(list_page_keys=7)
        super().__init__(inner)
        self.reads: list[str] = []
        self.lists: list[str] = []

    def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        self.lists.append(start_after)
        return super().list(prefix, start_after=start_after, resume=resume)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.reads.append(key)
        return await super().read(key, start=start, length=length)


@dataclass
class Reader:
    """A machine that reads the history again and again."""

    store: CountingStore = field(default_factory=CountingStore)
    position: str = ""
    records: dict[str, Record] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    async def read(self, now: datetime = NOW, *, location: str = HERE) -> list[Record]:
        """The records that are new to it."""
        self.store.reads.clear()
        self.store.lists.clear()
        known = set(self.records)
        history = SharedHistory(self.store, location, known=known, position=self.position, now=now)
        new = [record async for batch in history.new_records() for record in batch]
        self.position, self.skipped = history.position, history.skipped
        self.records |= {record.record_id: record for record in new}
        return new


async def test_a_record_comes_back_as_it_was_written() -> None:
    reader = Reader()
    written = replace(record_at(NOW), note="naïve\n", labels=(("a", "b"),), derived_from=("ab" * 32,))
    await write_record(reader.store, written)
    assert await reader.read() == [written]
    assert await Reader(reader.store).read() == [written]


async def test_records_come_in_the_order_of_their_time() -> None:
    reader = Reader()
    written = [record_at(NOW - timedelta(minutes=number), number) for number in range(50)]
    for record in written:
        await write_record(reader.store, record)
    assert await reader.read() == written[::-1]


async def test_the_next_reading_lists_from_the_last_one_and_reads_what_is_new() -> None:
    reader = Reader()
    for days in range(10):
        await write_record(reader.store, record_at(NOW - timedelta(days=days + 1)))
    await reader.read()
    assert len(reader.store.reads) == 10
    new = record_at(NOW - timedelta(minutes=1))
    await write_record(reader.store, new)
    assert await reader.read() == [new]
    assert reader.store.lists == [records_since(timestamp(NOW - timedelta(days=1) - OVERLAP))]
    assert len(reader.store.reads) == 1


async def test_nothing_new_is_one_listing() -> None:
    reader = Reader()
    await write_record(reader.store, record_at(NOW - timedelta(hours=1)))
    await reader.read()
    assert await reader.read() == []
    assert (len(reader.store.lists), reader.store.reads) == (1, [])


@given(st.lists(st.tuples(st.timedeltas(-OVERLAP * 0.9, OVERLAP * 0.9), st.booleans()), min_size=1, max_size=12))
def test_no_record_is_missed_while_clocks_differ_by_less_than_the_overlap(pushes: list[tuple[timedelta, bool]]) -> None:
    """Clocks are off by half a day or more while one machine reads from time to time."""

    async def run() -> None:
        reader, written = Reader(), set()
        for minute, (skew, reads) in enumerate(pushes):
            now = NOW + timedelta(minutes=minute)
            # A pusher may be late or early, the reader too: half of the overlap for each.
            record = record_at(now + skew / 2, minute)
            await write_record(reader.store, record)
            written.add(record.record_id)
            if reads:
                await reader.read(now)
        await reader.read(NOW + timedelta(minutes=len(pushes)))
        assert set(reader.records) == written

    anyio.run(run)


async def test_a_key_of_the_far_future_hides_nothing() -> None:
    reader = Reader()
    await write_record(reader.store, record_at(datetime(2999, 1, 1, tzinfo=UTC)))
    await reader.read()
    late = record_at(NOW)
    await write_record(reader.store, late)
    assert await reader.read(NOW + timedelta(minutes=1)) == [late]
    assert await SharedHistory(reader.store, HERE, now=NOW).newest() == late


async def test_a_store_made_anew_under_its_old_name_is_read_from_the_beginning() -> None:
    reader = Reader()
    await write_record(reader.store, record_at(NOW - timedelta(hours=1)))
    await reader.read()
    old = record_at(NOW - timedelta(days=30))
    reader.store.inner = MemoryStore()
    await write_record(reader.store, old)
    assert await reader.read() == [old]


def garbage() -> dict[str, bytes]:
    """Entries below the prefix that are not records, by key."""
    good = record_at(NOW - timedelta(hours=2))
    fields = json.loads(good.to_json())

    def key(number: int) -> str:
        return record_key(good.created_at, f"{number:032x}")

    def with_(number: int, **changes: object) -> bytes:
        return json.dumps(fields | {"record_id": f"{number:032x}"} | changes).encode()

    bodies = [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b"[]",
        good.to_json().encode(),  # another's name
        with_(6, id="../../etc/passwd"),
        with_(7, id=7),
        with_(8, created_at="yesterday"),
        with_(9, created_at="2026-13-41 25:61:61.000"),
        with_(10, labels=["a"]),
        with_(11, labels={"a": 1}),
        with_(12, derived_from="ab" * 32),
        with_(13, derived_from=["ab"] * 5),
        with_(14, location=""),
        with_(15, event="format-disk"),
        with_(16, note="x" * MAX_RECORD_BYTES),
        with_(17, created_at="2026-11-25 09:00:00.000"),  # another time than the key says
    ]
    return {key(number): body for number, body in enumerate(bodies)}


async def test_what_is_no_record_is_skipped_and_named_and_the_rest_is_read() -> None:
    reader, good = Reader(), record_at(NOW - timedelta(hours=1))
    for key, body in garbage().items():
        await reader.store.write(key, body)
    await write_record(reader.store, good)
    assert await reader.read() == [good]
    assert sorted(reader.skipped) == sorted(garbage())


async def test_what_is_too_long_is_not_even_read() -> None:
    reader = Reader()
    key = record_key("2026-11-25 10:00:00.000", "ab" * 16)
    await reader.store.write(key, b" " * (MAX_RECORD_BYTES + 1))
    assert await reader.read() == []
    assert (reader.skipped, reader.store.reads) == ([key], [])


async def test_other_keys_below_the_prefix_are_no_business_of_ours() -> None:
    reader = Reader()
    for name in ("README", "2026/11/25", "2026/11/25T100000.000-xyz.json", "2026/99/99T999999.999-abababab.json.tmp"):
        await reader.store.write(RECORDS + name, b"{}")
    assert await reader.read() == []
    assert (reader.skipped, reader.store.reads, reader.position) == ([], [], "")


async def test_a_position_that_is_no_time_is_no_position() -> None:
    reader = Reader()
    await reader.store.write(RECORDS + "2026/10/99T999999.999-abababab.json", b"{}")
    await reader.read()
    late = record_at(NOW)
    await write_record(reader.store, late)
    assert late in await reader.read(NOW + timedelta(minutes=1))


async def test_a_copied_store_has_its_history_at_its_new_place() -> None:
    reader = Reader()
    await write_record(reader.store, record_at(NOW))
    (there,) = await reader.read(location="s3://copy")
    assert there.location == "s3://copy"
    (again,) = await Reader(reader.store).read(location="s3://copy")
    assert again == there
    assert await reader.read(location="s3://copy") == []
    (here,) = await Reader(reader.store).read()
    assert here.record_id != there.record_id


async def test_the_newest_record_costs_two_requests() -> None:
    reader = Reader()
    written = [record_at(NOW - timedelta(hours=number)) for number in range(20)]
    for record in written:
        await write_record(reader.store, record)
    assert await SharedHistory(reader.store, HERE, now=NOW).newest() == written[0]
    assert (len(reader.store.lists), len(reader.store.reads)) == (1, 1)


async def test_a_store_without_history_has_no_newest_record() -> None:
    assert await SharedHistory(MemoryStore(), HERE, now=NOW).newest() is None
    assert await Reader().read() == []


class RefusingStore(CountingStore):
    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        raise AccessDenied(f"{key}: no")


async def test_a_failing_store_is_its_own_error() -> None:
    reader = Reader(RefusingStore())
    await write_record(reader.store, record_at(NOW))
    with pytest.raises(StoreError, match="no"):
        await reader.read()


async def test_many_pushers_at_once_never_meet() -> None:
    reader = Reader()
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(write_record, reader.store, record_at(NOW, number))
    assert {record.id for record in await reader.read()} == {f"{number:064x}" for number in range(100)}


MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, MOMENTS)
def test_the_order_of_keys_is_the_order_of_time(one: datetime, other: datetime) -> None:
    moments = [timestamp(one), timestamp(other)]
    keys = [record_key(moment, "ab" * 16) for moment in moments]
    assert (keys[0] < keys[1]) == (moments[0] < moments[1])
    assert [record_of_key(key) for key in keys] == [(moment, "ab" * 16) for moment in moments]
    assert all(records_since(moment) < key for moment, key in zip(moments, keys, strict=True))


async def test_a_history_is_copied_as_it_is_and_once() -> None:
    source, target = CountingStore(), CountingStore()
    records = [record_at(NOW - timedelta(days=days), days + 1) for days in range(40)]
    for record in records:
        await write_record(source, record)
    foreign = record_at(NOW, 99, location="s3://elsewhere")
    await write_record(target, foreign)
    await source.write(f"{RECORDS}notes.txt", b"mine")
    await source.write(record_key(timestamp(NOW), "ab" * 16), b"no record")
    await copy_records(source, target)
    found = await Reader(target).read()
    assert sorted(one.id for one in found) == sorted(one.id for one in [*records, foreign])
    source.reads.clear()
    await copy_records(source, target)
    assert source.reads == [record_key(timestamp(NOW), "ab" * 16)]


async def test_a_history_that_cannot_be_written_is_its_own_error() -> None:
    class Refusing(StoreWrapper):
        async def write(self, key: str, body: object, **_: object) -> bool:
            raise AccessDenied(f"PUT {key}: no", key=key)

    source = CountingStore()
    await write_record(source, record_at(NOW))
    with pytest.raises(AccessDenied):
        await copy_records(source, Refusing(MemoryStore()))


async def test_a_history_that_is_listed_by_hash_is_read_whole_and_in_order() -> None:
    reader = Reader(CountingStore(listed_by=by_hash))
    written = [record_at(NOW - timedelta(minutes=number), number) for number in range(1, 40)]
    for record in written:
        await write_record(reader.store, record)
    assert await reader.read() == written[::-1]
    late = record_at(NOW - timedelta(minutes=90), 99)
    await write_record(reader.store, late)
    assert await reader.read() == [late]


async def test_the_newest_record_is_found_wherever_it_is_listed() -> None:
    store = CountingStore(listed_by=by_hash)
    for number in range(1, 40):
        await write_record(store, record_at(NOW - timedelta(minutes=number), number))
    newest = await SharedHistory(store, HERE, now=NOW).newest()
    assert newest is not None
    assert newest.created_at == timestamp(NOW - timedelta(minutes=1))


async def test_every_record_of_a_store_that_lists_by_hash_is_copied() -> None:
    source, target = CountingStore(listed_by=by_hash), CountingStore(listed_by=by_hash)
    for number in range(1, 40):
        await write_record(source, record_at(NOW - timedelta(minutes=number), number))
    await copy_records(source, target)
    assert {info.key async for page in target.list(RECORDS) for info in page} == {
        info.key async for page in source.list(RECORDS) for info in page
    }
