"""Notes in the cache about the last checkout into each destination. Blocking.

``<cache>/.checkouts/<hash of the destination's real path>.json``: nothing is written into the destination itself.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from blake3 import blake3

from snapdir.disk.run_folder import replace_note
from snapdir.model.keys import CHECKOUTS

MAX_RECORDS = 2000
"""Above this the older half goes: the cache does not learn of directories that were removed."""
MAX_RECORD_BYTES = 16 << 20
"""Longer files are not records: paths and patterns take a few hundred bytes."""


class CheckoutRecord(NamedTuple):
    """The last checkout into a directory.

    Attributes:
        directory: Its real path.
        snapshot_id: The snapshot that was checked out.
        store: Its store, a URL without credentials; None if it came from the cache.
        objects_store: The pool of its objects, if any.
        include, exclude, shard: The selected part, as typed; all empty for everything.
        checked_out_at: UTC, ``YYYY-MM-DD HH:MM:SS``.
    """

    directory: str
    snapshot_id: str
    store: str | None
    objects_store: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    shard: str | None
    checked_out_at: str


def write_record(cache_dir: Path, record: CheckoutRecord, *, fsync: bool = True) -> None:
    """Replace the record of a directory.

    Args:
        fsync: Make it survive a power cut.

    Raises:
        OSError: the cache cannot be written.
    """
    file = _file(cache_dir, record.directory)
    replace_note(cache_dir, file, json.dumps(record._asdict()).encode(), mode=0o600, fsync=fsync)
    _prune(file.parent)


def read_record(cache_dir: Path, directory: str) -> CheckoutRecord | None:
    """The record of a directory, by its real path; None without a valid one."""
    real = os.path.realpath(directory)
    try:
        with _file(cache_dir, real).open("rb") as file:
            record = _record(json.loads(file.read(MAX_RECORD_BYTES)))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if record.directory == real else None


def _record(fields: dict[str, Any]) -> CheckoutRecord:
    include, exclude = (tuple(map(str, fields.pop(name))) for name in ("include", "exclude"))
    if not all(value is None or isinstance(value, str) for value in fields.values()):
        raise TypeError("a field is not text")
    return CheckoutRecord(include=include, exclude=exclude, **fields)


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
