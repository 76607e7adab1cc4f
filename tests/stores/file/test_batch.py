"""Small objects that are flushed together and named afterwards."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snapdir.errors import StoreMissing, StoreRefused
from snapdir.stores.file import writing
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from tests.stores.file.layout import files, temporaries


def test_a_batch_writes_what_is_missing_or_torn_and_leaves_the_rest(tmp_path: Path) -> None:
    batch = FileStore(tmp_path / "store", StoreSettings(fsync=False)).batch_writer()
    assert batch.put(".objects/a/b", b"content", replace=False)
    assert not batch.put(".objects/a/b", b"CONTENT", replace=False)  # an address of that length: the same content
    path = tmp_path / "store" / ".objects" / "a" / "b"
    assert path.read_bytes() == b"content"
    path.chmod(0o644)
    path.write_bytes(b"cont")
    assert batch.put(".objects/a/b", b"content", replace=False)
    assert batch.put(".objects/a/b", b"CONTENT", replace=True)
    assert path.read_bytes() == b"CONTENT"
    assert temporaries(tmp_path / "store") == []


@pytest.fixture
def flushes(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many objects had names at each flush of the filesystem."""
    named: list[int] = []
    monkeypatch.setattr(writing, "sync_filesystem", lambda _: named.append(len(objects(root))))
    return named


def objects(root: Path) -> list[str]:
    return [file for file in files(root) if file.startswith(".objects")]


def test_a_batch_is_flushed_once_and_then_named(root: Path, flushes: list[int]) -> None:
    batch = FileStore(root).batch_writer()
    for number in range(10):
        assert batch.put(f".objects/{number}", b"content", replace=False)
    assert (objects(root), flushes) == ([], [])
    batch.publish()
    assert flushes == [0]
    assert len(objects(root)) == 10
    assert temporaries(root) == []
    batch.publish()
    assert flushes == [0], "nothing new, nothing to flush"


@pytest.mark.parametrize(
    ("limit", "value"), [("BATCH_OBJECTS", 3), ("BATCH_BYTES", 3 * len("content")), ("BATCH_SECONDS", -1.0)]
)
def test_a_full_batch_is_named_by_the_next_object(
    root: Path, flushes: list[int], monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    batch = FileStore(root).batch_writer()
    monkeypatch.setattr(f"snapdir.stores.file.batch.{limit}", value)
    for number in range(4):
        batch.put(f".objects/{number}", b"content", replace=False)
    assert len(objects(root)) == 3
    assert flushes == ([0, 1, 2] if limit == "BATCH_SECONDS" else [0])
    batch.add(".objects/5", b"content")
    assert len(flushes) == (3 if limit == "BATCH_SECONDS" else 1), "this never waits for the disk"


def test_a_batch_that_cannot_be_flushed_names_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(writing, "sync_filesystem", fail)
    batch = FileStore(root).batch_writer()
    batch.put(".objects/a", b"content", replace=False)
    with pytest.raises(StoreRefused, match="Input/output error"):
        batch.publish()
    assert files(root) == []


def test_a_batch_that_cannot_be_named_leaves_no_temporaries(root: Path) -> None:
    batch = FileStore(root).batch_writer()
    for name in ("a", "b", "c"):
        batch.put(f".objects/{name}/x", b"content", replace=False)
    (root / ".objects").mkdir()
    (root / ".objects" / "b").touch()
    with pytest.raises(StoreRefused, match="Not a directory"):
        batch.publish()
    assert temporaries(root) == []


def test_a_batch_names_a_store_that_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreMissing, match="not a directory"):
        FileStore(tmp_path / "store").batch_writer().put(".objects/a", b"content", replace=False)
