"""Notes in the cache about the last known snapshot of each directory. Blocking.

``<cache>/.checkouts/<hash of the directory's real path>.json``: nothing is written into the directory itself.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from blake3 import blake3

from snapdir.disk.run_folder import replace_note
from snapdir.errors import local_error
from snapdir.errors.local import OUT_OF_DESCRIPTORS
from snapdir.model.keys import CHECKOUTS

MAX_RECORDS = 2000
"""Above this the older half goes: the cache does not learn of directories that were removed."""
MAX_RECORD_BYTES = 16 << 20
"""Longer files are not records: paths and patterns take a few hundred bytes."""

Source = Literal["checkout", "push", "stage"]
LISTS = {"include", "exclude", "excluded", "ignored"}


class DirectoryRecord(NamedTuple):
    """The snapshot that a directory was when it was last checked out, pushed or staged.

    Attributes:
        directory: Its real path.
        snapshot_id: The snapshot.
        store: Its store, a URL without credentials; None if it came from the cache or is there only.
        objects_store: The pool of its objects, if any.
        include, exclude, shard: The selected part of a checkout, as typed; all empty for everything.
        recorded_at: UTC, ``YYYY-MM-DD HH:MM:SS``.
        source: What made the record.
        excluded, ignored, follow, dereference: How a directory that was pushed or staged was read.
        is_link: It was named by a link, whose mode is then that of the root.
    """

    directory: str
    snapshot_id: str
    store: str | None
    objects_store: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    shard: str | None
    recorded_at: str
    source: Source = "checkout"
    excluded: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    follow: bool = True
    dereference: bool = False
    is_link: bool = False


def write_record(cache_dir: Path, record: DirectoryRecord, *, fsync: bool = True) -> None:
    """Replace the record of a directory.

    Args:
        fsync: Make it survive a power cut.

    Raises:
        OSError: the cache cannot be written.
    """
    file = _file(cache_dir, record.directory)
    replace_note(cache_dir, file, json.dumps(record._asdict()).encode(), mode=0o600, fsync=fsync)
    _prune(file.parent)


def read_record(cache_dir: Path, directory: str) -> DirectoryRecord | None:
    """The record of a directory, by its real path; None without a valid one.

    Raises:
        LocalError: no descriptor is left to read it.
    """
    real = os.path.realpath(directory)
    record = _read(_file(cache_dir, real))
    return record if record is not None and record.directory == real else None


def recorded_ids(cache_dir: Path) -> set[str]:
    """The snapshots of all valid records."""
    folder = cache_dir / CHECKOUTS
    try:
        files = [folder / name for name in os.listdir(folder)]
    except OSError as error:
        if error.errno in OUT_OF_DESCRIPTORS:
            raise local_error(error, folder) from error
        return set()
    return {record.snapshot_id for record in map(_read, files) if record is not None}


def _read(file: Path) -> DirectoryRecord | None:
    try:
        with file.open("rb") as opened:
            return _record(json.loads(opened.read(MAX_RECORD_BYTES)))
    except OSError as error:
        if error.errno in OUT_OF_DESCRIPTORS:
            raise local_error(error, file) from error
        return None
    except (ValueError, TypeError, KeyError):
        return None


def _record(fields: dict[str, Any]) -> DirectoryRecord:
    fields["recorded_at"] = fields.pop("checked_out_at", None) or fields["recorded_at"]  # its name in older records
    for name in LISTS & fields.keys():
        fields[name] = tuple(map(str, fields[name]))
    if not all(value is None or isinstance(value, str | tuple | bool) for value in fields.values()):
        raise TypeError("a field is neither text nor a list nor a switch")
    if fields.get("source", "checkout") not in get_args(Source):
        raise ValueError("an unknown source")
    return DirectoryRecord(**fields)


def _file(cache_dir: Path, directory: str) -> Path:
    name = blake3(os.fsencode(directory)).hexdigest()[:32]
    return cache_dir / CHECKOUTS / f"{name}.json"


def _prune(folder: Path) -> None:
    names = os.listdir(folder)
    if len(names) <= MAX_RECORDS:
        return
    with suppress(OSError):  # another process prunes too
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.stat().st_mtime_ns)[: len(names) // 2]:
            os.unlink(entry.path)
