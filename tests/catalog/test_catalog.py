"""The history on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from snapdir.catalog.catalog import Catalog
from snapdir.catalog.record import Provenance, Record, new_record, timestamp
from snapdir.catalog.schema import VERSION
from snapdir.errors import CatalogError

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
STORE, OTHER = "file:///st", "/w/d"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "default-catalog.sqlite3"


@pytest.fixture
def catalog(file: Path) -> Iterator[Catalog]:
    with Catalog(file) as opened:
        yield opened


def chain(records: list[Record]) -> list[tuple[str, str | None]]:
    return [(record.id, record.previous_id) for record in records]


def test_a_new_id_follows_the_latest_one_of_its_location(catalog: Catalog) -> None:
    for snapshot_id in (A, B, A):
        catalog.record("push", snapshot_id, STORE)
    catalog.record("stage", C, OTHER)
    assert chain(catalog.records([STORE])) == [(A, B), (B, A), (A, None)]
    assert chain(catalog.records([OTHER])) == [(C, None)]


def test_the_same_id_again_is_no_news(catalog: Catalog) -> None:  # DER-23
    assert catalog.record("push", A, STORE) is not None
    assert catalog.record("push", A, STORE) is None
    assert len(catalog.records()) == 1


@pytest.mark.parametrize(
    "provenance", [Provenance(derived_from=(B,)), Provenance(note=""), Provenance(labels=(("k", "v"),))]
)
def test_provenance_is_news_of_the_same_id(catalog: Catalog, provenance: Provenance) -> None:
    catalog.record("push", A, STORE)
    record = catalog.record("push", A, STORE, provenance=provenance)
    assert record is not None
    assert record.previous_id == A
    assert catalog.records()[0] == record


def test_a_record_comes_back_as_it_was_made(catalog: Catalog, file: Path) -> None:
    provenance = Provenance((B, C, B), "two\nlines, é", (("z", "1"), ("a", "")))
    made = catalog.record("push", A, STORE, provenance=provenance, now=NOON)
    with Catalog(file) as again:
        assert again.records() == [made]
    assert made == Record(
        made.record_id, "push", A, STORE, "2026-06-01 12:00:00.000", None, *(provenance.derived_from,),
        note="two\nlines, é", labels=(("z", "1"), ("a", "")),
    )  # fmt: skip


def test_a_clock_that_steps_back_does_not_misorder(catalog: Catalog) -> None:
    for hours, snapshot_id in enumerate((A, B, C)):
        catalog.record("push", snapshot_id, STORE, now=NOON - timedelta(hours=hours))
    assert chain(catalog.records()) == [(C, B), (B, A), (A, None)]


def test_nothing_is_chained_to_a_clock_that_is_far_ahead(catalog: Catalog) -> None:
    ahead = Record("f" * 32, "push", B, STORE, "2999-12-31 23:59:59.999", None)
    catalog.add_foreign([ahead])
    record = catalog.record("push", A, STORE, now=NOON)
    assert record is not None
    assert (record.previous_id, record.created_at) == (None, timestamp(NOON))


def test_records_from_elsewhere_are_taken_over_once(catalog: Catalog) -> None:
    foreign = [new_record("push", A, STORE), new_record("push", B, STORE, provenance=Provenance((C,)))]
    assert catalog.add_foreign(foreign) == 2
    assert catalog.add_foreign([*foreign, new_record("push", D, STORE)]) == 1
    assert len(catalog.records()) == 3
    assert [record.id for record in catalog.records_below(C)] == [B]


def test_a_batch_from_elsewhere_that_fails_leaves_nothing(catalog: Catalog) -> None:
    bad = Record("e" * 32, "push", B, "\ud800", "2026-06-01 12:00:00.000", None)
    with pytest.raises(CatalogError):
        catalog.add_foreign([new_record("push", A, STORE), bad])
    assert catalog.records() == []
    catalog.record("push", A, STORE)


def test_locations_are_told_in_the_order_of_their_bytes(catalog: Catalog) -> None:
    for location, ids in {STORE: (A, B), OTHER: (C,), "file:///é": (D,), "file:///z": (D,)}.items():
        for snapshot_id in ids:
            catalog.record("push", snapshot_id, location)
    latest = [(record.location, record.id) for record in catalog.latest_by_location()]
    assert latest == [(OTHER, C), (STORE, B), ("file:///z", D), ("file:///é", D)]


def test_records_can_be_asked_by_id_and_location(catalog: Catalog) -> None:
    for location in (STORE, OTHER):
        catalog.record("push", A, location)
        catalog.record("push", B, location)
    assert {record.location for record in catalog.records(snapshot_id=A)} == {STORE, OTHER}
    assert chain(catalog.records(snapshot_id=B, locations=[OTHER])) == [(B, A)]
    assert len(catalog.records([STORE, OTHER])) == 4


def test_lineage_queries_read_what_is_within_reach_and_no_more(catalog: Catalog) -> None:
    catalog.record("push", A, STORE)
    catalog.record("push", B, STORE)
    catalog.record("push", C, "file:///models", provenance=Provenance((B,)))
    catalog.record("push", D, "file:///unrelated")
    assert {record.id for record in catalog.records_above(C)} == {A, B, C}
    assert {record.id for record in catalog.records_below(A)} == {B, C}
    assert catalog.records_above("0" * 64) == catalog.records_below("0" * 64) == []


def test_marks_are_kept(catalog: Catalog, file: Path) -> None:
    assert catalog.mark("s3://bucket") is None
    catalog.set_mark("s3://bucket", "key 1")
    catalog.set_mark("s3://bucket", "key 2")
    with Catalog(file) as again:
        assert again.mark("s3://bucket") == "key 2"


def test_a_catalog_can_live_in_memory() -> None:
    with Catalog(None) as catalog:
        catalog.record("push", A, STORE)
        assert len(catalog.records()) == 1


def test_readers_see_the_state_before_a_write_that_is_under_way(catalog: Catalog, file: Path) -> None:
    catalog.record("push", A, STORE)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM records")
    with Catalog(file, lock_seconds=0.01) as reader:
        assert len(reader.records()) == 1
    writer.close()


def test_a_writer_that_waited_long_enough_gives_up_and_says_so(catalog: Catalog, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        Catalog(file, lock_seconds=0.01) as waiting,
        pytest.raises(CatalogError, match=r"locked for 0\.01 s") as failed,
    ):
        waiting.record("push", A, STORE)
    assert str(file) in str(failed.value)
    other.close()
    catalog.record("push", A, STORE)


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_one_error_that_names_it(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(CatalogError, match=r"damaged|malformed|not a database") as failed:
        Catalog(file)
    assert str(file) in str(failed.value)
    assert file.read_bytes() == content


def test_a_file_that_is_damaged_further_down_is_our_error(catalog: Catalog, file: Path) -> None:
    for number in range(200):
        catalog.record("push", f"{number:064x}", STORE)
    catalog.close()
    with file.open("r+b") as damaged:
        damaged.seek(8192)
        damaged.write(b"\xff" * (file.stat().st_size - 8192))
    with pytest.raises(CatalogError, match=str(file)), Catalog(file) as opened:
        opened.records()


def test_a_directory_in_its_place_is_our_error(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(CatalogError, match="unable to open"):
        Catalog(file)


def test_a_folder_that_cannot_be_made_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match=r"catalog .*file/new/c"):
        Catalog(tmp_path / "file" / "new" / "c")


def test_another_programs_database_stays_untouched(file: Path) -> None:
    file.parent.mkdir()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(CatalogError, match="another program"):
        Catalog(file)
    assert file.read_bytes() == before


def test_a_later_version_is_not_written_to(catalog: Catalog, file: Path) -> None:
    catalog.close()
    raw = sqlite3.connect(file)
    raw.execute(f"PRAGMA user_version = {VERSION + 1}")
    raw.close()
    with pytest.raises(CatalogError, match="later snapdir"):
        Catalog(file)


def test_a_step_that_fails_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapdir.catalog.schema.STEPS", [("CREATE TABLE one (x)",), ("nonsense",)])
    monkeypatch.setattr("snapdir.catalog.schema.VERSION", 2)
    with pytest.raises(CatalogError):
        Catalog(file)
    monkeypatch.undo()
    with Catalog(file) as opened:
        assert opened.records() == []


def test_an_older_file_gets_what_it_lacks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snapdir.catalog import schema

    with Catalog(file) as catalog:
        catalog.record("push", A, STORE)
    monkeypatch.setattr(schema, "STEPS", [*schema.STEPS, ("ALTER TABLE records ADD COLUMN extra TEXT",)])
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    with Catalog(file) as catalog:
        assert len(catalog.records()) == 1
    raw = sqlite3.connect(file)
    assert raw.execute("SELECT extra FROM records").fetchall() == [(None,)]
    raw.close()


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("fuse.sshfs", "delete")])
def test_a_log_in_shared_memory_is_kept_only_where_all_processes_share_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 0 0:1 / / rw - {kind} somewhere rw\n")
    monkeypatch.setattr("snapdir.disk.filesystems.MOUNTS", mounts)
    with Catalog(file) as first, Catalog(file) as second:
        first.record("push", A, STORE)
        second.record("push", B, STORE)
        assert chain(first.records()) == [(B, A), (A, None)]
    raw = sqlite3.connect(file)
    assert raw.execute("PRAGMA journal_mode").fetchone() == (mode,)
    raw.close()
