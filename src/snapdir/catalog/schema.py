"""The tables of a catalog, and the steps that update an older file."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from snapdir.disk.filesystems import is_on_local_filesystem
from snapdir.errors import CatalogError

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x736E6462
"""Marks the file as a catalog: the database of another program is never written to."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE records (
            sequence INTEGER PRIMARY KEY,
            record_id TEXT NOT NULL UNIQUE,
            event TEXT NOT NULL,
            id TEXT NOT NULL,
            location TEXT NOT NULL,
            created_at TEXT NOT NULL,
            previous_id TEXT,
            derived_from TEXT NOT NULL,
            note TEXT,
            labels TEXT NOT NULL
        )""",
        "CREATE INDEX records_by_location ON records (location, created_at, sequence)",
        "CREATE INDEX records_by_id ON records (id)",
        "CREATE INDEX records_by_previous ON records (previous_id)",
        """CREATE TABLE sources (
            source TEXT NOT NULL,
            sequence INTEGER NOT NULL REFERENCES records,
            PRIMARY KEY (source, sequence)
        ) WITHOUT ROWID""",
        "CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
)
"""The additions of each version. Released steps never change.

``records.derived_from`` and ``records.labels`` are JSON, in the given order; ``sources`` finds records by the snapshots
they are derived from; ``marks`` keeps positions of reading.
"""

VERSION = len(STEPS)


def prepare(connection: sqlite3.Connection) -> None:
    """Create the tables, or update them. Several processes may do it at once.

    Raises:
        CatalogError: the file belongs to another program, or to a later version of this one.
        sqlite3.Error: it cannot be read or written.
    """
    connection.execute("BEGIN")  # a consistent view while another process makes the tables
    with connection:
        version = _version(connection)
    if version < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            _migrate(connection)
    _use_write_ahead_log(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    for number in range(_version(connection), VERSION):
        for statement in STEPS[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    """The version of the file; 0 for an empty one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID and version <= VERSION:
        return int(version)
    if application == APPLICATION_ID:
        raise CatalogError(f"it has version {version}, of a later snapdir; this one supports {VERSION}: update snapdir")
    if tables or application or version:
        raise CatalogError("it is a database of another program")
    return 0


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log, with which readers need not wait for a writer, if only this host can have the file open.

    The log is shared through memory: on a network filesystem (such as a home on NFS) two hosts would damage the file.
    There, or if the file is in use now, the ordinary journal stays, which is as safe and slower; the next process to
    open the file tries again.
    """
    import sqlite3

    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
    if mode == "delete" and is_on_local_filesystem(file):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
