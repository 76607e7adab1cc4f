"""The tables of a catalog, and the steps that bring an older file up to date."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from snapdir.disk.filesystems import is_on_local_filesystem
from snapdir.errors import CatalogError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["VERSION", "prepare"]

APPLICATION_ID = 0x736E6462
"""Marks the file as a catalog, so that no other program's database is written to."""

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
"""What each version adds to the one before. Steps that have been released never change.

``records.derived_from`` and ``records.labels`` are JSON, in the order they were given; ``sources`` finds records by
what they are derived from; ``marks`` keeps how far something has been read.
"""

VERSION = len(STEPS)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring them up to date. Several processes may do it at once.

    Raises:
        CatalogError: the file belongs to another program, or to a later version of this one.
        sqlite3.Error: it cannot be read or written.
    """
    connection.execute("BEGIN")  # what is looked at belongs together, while another process makes the tables
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
        raise CatalogError(f"it is of version {version}, made by a later snapdir; this one knows up to {VERSION}")
    if tables or application or version:
        raise CatalogError("it is a database of another program")
    return 0


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let readers go on while somebody writes, where only this host can have the file open.

    The log is shared through memory: on a network filesystem (a home on NFS, say) two hosts would damage the file. Nor
    does SQLite wait for others to switch. In both cases the ordinary journal stays, which is as safe and only slower;
    the next one to open the file tries again.
    """
    import sqlite3

    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
    if mode == "delete" and is_on_local_filesystem(file):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
