"""Swaps in a store in a directory: locked between processes, and on the disk."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snapdir.errors import NoConditionalWrites, StoreRefused
from snapdir.stores.file import writing
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings

pytestmark = pytest.mark.usefixtures("open_descriptors")

COUNTING = """
import asyncio, sys
from pathlib import Path
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings

async def main():
    store = FileStore(Path(sys.argv[1]), StoreSettings(fsync=False))
    for _ in range(30):
        while True:
            old = await store.read("counter")
            if await store.swap("counter", old, f"{int(old.split()[0]) + 1} {sys.argv[2]}".encode()):
                break
    await store.aclose()

asyncio.run(main())
"""


async def test_a_swap_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real = os.rename

    def rename(source: str, target: str) -> None:
        real(source, target)
        events.append("rename")

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "fsync", lambda fd: events.append("sync file"))
    monkeypatch.setattr(writing, "sync_filesystem", lambda path: events.append("sync filesystem"))
    store = FileStore(tmp_path, StoreSettings(fsync=True))
    assert await store.swap(".refs/v1", None, b"value")
    assert events == ["sync file", "rename", "sync filesystem"]
    await store.aclose()
    assert list((tmp_path / ".partial").iterdir()) == []


async def test_a_swap_needs_a_filesystem_with_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    store = FileStore(tmp_path, StoreSettings(fsync=False))
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(NoConditionalWrites, match="its filesystem has no locks"):
        await store.swap(".refs/v1", None, b"value")
    assert not (tmp_path / ".refs").exists()
    await store.aclose()


async def test_what_is_no_file_counts_as_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path, StoreSettings(fsync=False))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for key in ("pipe", "folder"):
        assert not await store.swap(key, b"old", b"value")
        assert await store.swap(key, None, b"value")
        assert (tmp_path / key).read_bytes() == b"value"
    (tmp_path / "full" / "below").mkdir(parents=True)
    with pytest.raises(StoreRefused, match="not empty"):
        await store.swap("full", None, b"value")
    await store.aclose()


def test_processes_that_swap_at_once_lose_no_change(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0 nobody")
    writers = [subprocess.Popen([sys.executable, "-c", COUNTING, str(tmp_path), str(number)]) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert counter.read_text().split()[0] == "90"
