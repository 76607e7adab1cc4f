"""The record of the snapshot that a directory was last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from snapdir.disk import directory_record, run_folder
from snapdir.disk.directory_record import DirectoryRecord, read_record, write_record
from snapdir.model.keys import CHECKOUTS


def record(directory: Path, **fields: Any) -> DirectoryRecord:
    given = {
        "snapshot_id": "0" * 64,
        "store": "file:///store",
        "objects_store": None,
        "include": ("a", "b"),
        "exclude": (),
        "shard": "1/2",
        "recorded_at": "2026-11-30 12:00:00",
    }
    return DirectoryRecord(directory=str(directory), **(given | fields))


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "destination"
    folder.mkdir()
    return folder.resolve()


def test_what_is_written_is_read_through_any_spelling_of_the_directory(tmp_path: Path, destination: Path) -> None:
    written = record(destination)
    write_record(tmp_path / "cache", written)
    (tmp_path / "link").symlink_to(destination)
    for spelling in (destination, tmp_path / "link", f"{destination}/../destination/."):
        assert read_record(tmp_path / "cache", str(spelling)) == written
    assert read_record(tmp_path / "cache", str(tmp_path)) is None


def test_a_later_record_takes_the_place_of_an_earlier_one_and_leaves_nothing_else(
    tmp_path: Path, destination: Path
) -> None:
    write_record(tmp_path, record(destination))
    write_record(tmp_path, record(destination, shard=None))
    assert read_record(tmp_path, str(destination)) == record(destination, shard=None)
    assert len(os.listdir(tmp_path / CHECKOUTS)) == 1


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        lambda fields: fields | {"directory": "/elsewhere"},
        lambda fields: fields | {"more": "x"},
        lambda fields: fields | {"store": 1},
        lambda fields: {name: value for name, value in fields.items() if name != "shard"},
        lambda fields: fields | {"include": None},
    ],
)
def test_a_damaged_record_is_none(tmp_path: Path, destination: Path, damaged: Any) -> None:
    write_record(tmp_path, record(destination))
    (file,) = (tmp_path / CHECKOUTS).iterdir()
    file.write_bytes(
        damaged if isinstance(damaged, bytes) else json.dumps(damaged(json.loads(file.read_bytes()))).encode()
    )
    assert read_record(tmp_path, str(destination)) is None


def test_of_too_many_records_the_older_half_goes(
    tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_record, "MAX_RECORDS", 4)
    folder = tmp_path / CHECKOUTS
    for number in range(4):
        write_record(tmp_path, record(destination / str(number)))
        for file in folder.iterdir():
            status = file.stat()
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))
    assert len(os.listdir(folder)) == 4
    write_record(tmp_path, record(destination / "4"))
    kept = {json.loads(file.read_bytes())["directory"].rpartition("/")[2] for file in folder.iterdir()}
    assert kept == {"2", "3", "4"}


def test_a_cache_that_cannot_be_written_is_an_error_and_keeps_no_temporary(tmp_path: Path, destination: Path) -> None:
    write_record(tmp_path, record(destination))
    (file,) = (tmp_path / CHECKOUTS).iterdir()
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_record(tmp_path, record(destination))
    assert os.listdir(tmp_path / CHECKOUTS) == [file.name]


def test_a_record_is_on_the_disk_before_it_takes_the_place_of_another(
    tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def records() -> int:
        return len([*(tmp_path / CHECKOUTS).glob("*.json")])

    monkeypatch.setattr(os, "fsync", lambda fd: events.append(f"its {os.fstat(fd).st_size > 0}, {records()} named"))
    monkeypatch.setattr(run_folder, "sync_filesystem", lambda _: events.append(f"names, {records()} named"))
    write_record(tmp_path, record(destination))
    assert events == ["its True, 0 named", "names, 1 named"]
    write_record(tmp_path, record(destination), fsync=False)
    assert len(events) == 2


def test_a_vast_record_of_nothing_is_none(tmp_path: Path, destination: Path) -> None:
    write_record(tmp_path, record(destination))
    (file,) = tmp_path.rglob("*.json")
    os.truncate(file, 2**43)
    assert read_record(tmp_path, str(destination)) is None
