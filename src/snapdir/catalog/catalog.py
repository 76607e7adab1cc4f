"""The history in one SQLite file, which several processes may use at once. Blocking."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from snapdir.catalog.record import Event, Provenance, Record, compact_json, new_record, timestamp
from snapdir.catalog.schema import prepare
from snapdir.disk.descriptors import none_left
from snapdir.errors import CatalogError
from snapdir.errors.local import DENIED, MORE_DESCRIPTORS

LOCK_SECONDS = 5.0
"""How long to wait for another process that writes. Writing a record takes a few milliseconds."""

FUTURE = timedelta(days=1)
"""A record further in the future comes from a wrong clock; it is kept but never used as predecessor."""

_COLUMNS = "record_id, event, id, location, created_at, previous_id, derived_from, note, labels"
_NEWEST_FIRST = "ORDER BY created_at DESC, sequence DESC"

_ABOVE = """WITH RECURSIVE reached(id) AS (
    VALUES (?)
    UNION SELECT previous_id FROM records JOIN reached USING (id) WHERE previous_id IS NOT NULL
    UNION SELECT source FROM reached JOIN records USING (id) JOIN sources USING (sequence)
)"""
_BELOW = """WITH RECURSIVE reached(id) AS (
    VALUES (?)
    UNION SELECT records.id FROM reached JOIN records ON previous_id = reached.id
    UNION SELECT records.id FROM reached JOIN sources ON source = reached.id JOIN records USING (sequence)
)"""


class Catalog:
    """An open catalog; close it, or use it in a ``with``. One thread at a time.

    Every method raises CatalogError if the file cannot be read or written; the message names it.

    Args:
        file: Made if it is missing, with its folder. None keeps everything in memory.
        lock_seconds: How long to wait for another process that writes.
        reading: A missing file that cannot be made counts as empty.
    """

    def __init__(self, file: Path | None, *, lock_seconds: float = LOCK_SECONDS, reading: bool = False) -> None:
        self._file = file
        self._lock_seconds = lock_seconds
        self._reading = reading
        with self._failures():
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            return self._prepared(":memory:")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _make(self._file)
            return self._prepared(os.fspath(self._file))
        except (OSError, sqlite3.OperationalError) as error:
            if self._reading and getattr(error, "errno", None) in DENIED and _is_absent(self._file):
                return self._prepared(":memory:")
            name = getattr(error, "sqlite_errorname", "SQLITE_READONLY")
            if not self._file.is_file() or not name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
                raise
            # It can be read, but SQLite cannot make its log beside it.
            return self._prepared(f"{self._file.as_uri()}?mode=ro&immutable=1")

    def _prepared(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path,
            timeout=self._lock_seconds,
            isolation_level=None,
            check_same_thread=False,
            uri=path.startswith("file:"),
        )
        try:
            # A power cut may lose the last records of the write-ahead log, and never the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Safe to repeat."""
        self._connection.close()

    def move_to_memory(self) -> None:
        """Keep everything in memory from now on, and leave the file alone."""
        with self._failures():
            copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._connection.backup(copy)
            self._connection.close()
            self._connection = copy

    def record(
        self,
        event: Event,
        snapshot_id: str,
        location: str,
        *,
        provenance: Provenance | None = None,
        now: datetime | None = None,
    ) -> Record | None:
        """Note that a snapshot is the latest one at a location, and return the record.

        If it is the latest one already and ``provenance`` is empty, nothing is noted, and the result is None. A record
        is never older than the record it follows, even if the clock was set back.
        """
        moment = now or datetime.now(UTC)
        with self._writing():
            latest = self._latest(location, not_after=timestamp(moment + FUTURE))
            if latest is not None and latest.id == snapshot_id and not provenance:
                return None
            made = new_record(
                event,
                snapshot_id,
                location,
                previous_id=None if latest is None else latest.id,
                provenance=provenance,
                created_at=_after(latest, moment),
            )
            self._insert(made)
        return made

    def add_foreign(self, records: Iterable[Record]) -> int:
        """Add records from elsewhere as they are, and return how many were new."""
        with self._writing():
            return sum(self._insert(record) for record in records)

    def records(self, locations: Sequence[str] = (), *, snapshot_id: str | None = None) -> list[Record]:
        """The records at any of ``locations`` and of one snapshot, newest first; without arguments all records."""
        conditions, values = _conditions(locations, snapshot_id)
        return self._select(f"SELECT {_COLUMNS} FROM records {conditions} {_NEWEST_FIRST}", values)  # noqa: S608

    def latest(self, location: str) -> Record | None:
        """The record that the next one at a location follows."""
        return self._latest(location, not_after=timestamp(datetime.now(UTC) + FUTURE))

    def record_ids(self, location: str) -> set[str]:
        """The ids of the records at a location."""
        with self._failures():
            rows = self._connection.execute("SELECT record_id FROM records WHERE location = ?", (location,))
            return {record_id for (record_id,) in rows}

    def ids_that_start(self, digits: str) -> set[str]:
        """The recorded snapshots whose ids start with ``digits``."""
        with self._failures():
            rows = self._connection.execute("SELECT id FROM records WHERE id >= ? AND id < ? || 'g'", (digits, digits))
            return {snapshot_id for (snapshot_id,) in rows}

    def mentions(self, snapshot_id: str) -> bool:
        """Whether a record is about a snapshot, or names it as a source or as the previous one."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM records WHERE id = ?1 OR previous_id = ?1)"
            " OR EXISTS (SELECT 1 FROM sources WHERE source = ?1)"
        )
        with self._failures():
            (found,) = self._connection.execute(query, (snapshot_id,)).fetchone()
        return bool(found)

    def latest_by_location(self) -> list[Record]:
        """The latest record of each location, in the order of the locations' bytes."""
        latest: dict[str, Record] = {}
        for record in self.records():
            latest.setdefault(record.location, record)
        return [latest[location] for location in sorted(latest, key=str.encode)]

    def records_above(self, snapshot_id: str) -> list[Record]:
        """The records for ``lineage.ancestors``, newest first."""
        return self._reached(_ABOVE, "id IN reached", snapshot_id)

    def records_below(self, snapshot_id: str) -> list[Record]:
        """The records for ``lineage.descendants``, newest first."""
        followers = "previous_id IN reached OR sequence IN (SELECT sequence FROM sources WHERE source IN reached)"
        return self._reached(_BELOW, followers, snapshot_id)

    def mark(self, name: str) -> str | None:
        """The value that ``set_mark`` kept under ``name``."""
        with self._failures():
            row = self._connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_mark(self, name: str, value: str) -> None:
        """Store a value under a name."""
        with self._writing():
            self._connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))

    def _latest(self, location: str, *, not_after: str) -> Record | None:
        query = f"SELECT {_COLUMNS} FROM records WHERE location = ? AND created_at <= ? {_NEWEST_FIRST} LIMIT 1"  # noqa: S608
        return next(iter(self._select(query, [location, not_after])), None)

    def _reached(self, closure: str, condition: str, snapshot_id: str) -> list[Record]:
        query = f"{closure} SELECT {_COLUMNS} FROM records WHERE {condition} {_NEWEST_FIRST}"  # noqa: S608
        return self._select(query, [snapshot_id])

    def _select(self, query: str, values: Sequence[str]) -> list[Record]:
        with self._failures():
            return [_record(row) for row in self._connection.execute(query, values)]

    def _insert(self, record: Record) -> bool:
        """Add a record; False if the catalog has it."""
        values = (
            *(record.record_id, record.event, record.id, record.location, record.created_at, record.previous_id),
            *(compact_json(record.derived_from), record.note, compact_json(dict(record.labels))),
        )
        marks = ", ".join("?" * len(values))
        added = self._connection.execute(
            f"INSERT INTO records ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (record_id) DO NOTHING",  # noqa: S608
            values,
        )
        if added.rowcount < 1:
            return False
        sources = {(source, added.lastrowid) for source in record.derived_from}
        self._connection.executemany("INSERT INTO sources VALUES (?, ?)", sources)
        return True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One exclusive transaction, which an error rolls back."""
        with self._failures():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield

    @contextmanager
    def _failures(self) -> Iterator[None]:
        where = "in memory" if self._file is None else self._file
        try:
            yield
        except CatalogError as error:
            raise CatalogError(f"catalog {where}: {error}; choose another catalog with --catalog") from error
        except (sqlite3.Error, OSError, UnicodeError, ValueError) as error:
            raise CatalogError(f"catalog {where}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_CANTOPEN") and none_left():
            return f"{error}: no file can be opened; {MORE_DESCRIPTORS}"
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return f"another process has kept it locked for {self._lock_seconds:g} s; try again later"
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return f"it is damaged or not a catalog ({error}); move it away, or choose another one with --catalog"
        return f"{error}; choose another catalog with --catalog, or `--catalog none`"


def _make(file: Path) -> None:
    """Make an empty file with the mode of the umask. SQLite would use at most 0644, also for its log."""
    with suppress(FileExistsError, IsADirectoryError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _is_absent(file: Path) -> bool:
    """Whether a file certainly does not exist: False if its directory cannot be read."""
    try:
        file.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _conditions(locations: Sequence[str], snapshot_id: str | None) -> tuple[str, list[str]]:
    conditions, values = [], list(locations)
    if locations:
        conditions.append(f"location IN ({', '.join('?' * len(locations))})")
    if snapshot_id is not None:
        conditions.append("id = ?")
        values.append(snapshot_id)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _after(latest: Record | None, moment: datetime) -> str:
    """``moment``, or a millisecond after ``latest`` if that is later."""
    written = timestamp(moment)
    if latest is None or latest.created_at < written:
        return written
    return timestamp(datetime.fromisoformat(latest.created_at).replace(tzinfo=UTC) + timedelta(milliseconds=1))


def _record(row: Sequence[Any]) -> Record:
    record_id, event, snapshot_id, location, created_at, previous_id, derived_from, note, labels = row
    return Record(
        record_id,
        event,
        snapshot_id,
        location,
        created_at,
        previous_id,
        derived_from=tuple(json.loads(derived_from)),
        note=note,
        labels=tuple(json.loads(labels).items()),
    )
