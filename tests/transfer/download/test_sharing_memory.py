"""Small objects get their share of the memory while large ones hold theirs from start to end."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.destination import Destination
from snapdir.hashing.tree import digest_of
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Buffer
from snapdir.stores.blocks import BlockSink
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.objects import download
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, Target
from tests.transfer.conftest import RecordingStore

SMALL_FILES = 300
LARGE_FILES = 8
PART = 256 * KIB


class PatientStore(RecordingStore):
    """No large object comes before ``small_placed``, and the small ones come only when a large one is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.small_placed = anyio.Event()
        self._large_asked = anyio.Event()

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        await self._large_asked.wait()
        return await super().read(key, start=start, length=length)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        self._large_asked.set()
        await self.small_placed.wait()
        await super().read_through(key, sink, start=start, length=length)


class CountingSink(DirectorySink):
    """Lets the large objects come when all of the small ones are placed."""

    def __init__(self, destination: Destination, store: PatientStore) -> None:
        super().__init__(destination)
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._placed = 0
        self._lock = threading.Lock()

    def write(self, planned: PlannedObject, data: Buffer) -> None:
        super().write(planned, data)
        self._count()

    def write_quickly(self, planned: PlannedObject, data: Buffer) -> bool:
        placed = super().write_quickly(planned, data)
        if placed:
            self._count()
        return placed

    def _count(self) -> None:
        with self._lock:
            self._placed += 1
            if self._placed == SMALL_FILES:
                self._loop.call_soon_threadsafe(self._store.small_placed.set)


@pytest.mark.parametrize("memory_bytes", [5 * MIB, 16 * MIB])
async def test_large_objects_leave_room_for_small_ones(tmp_path: Path, memory_bytes: int) -> None:
    store = PatientStore()
    contents = [number.to_bytes(2) * 4_500 for number in range(SMALL_FILES)]
    contents += [bytes([number]) * (3 * PART) for number in range(LARGE_FILES)]
    planned = []
    for number, content in enumerate(contents):
        digest = digest_of(content)
        await store.write(object_key(digest), content)
        planned.append(PlannedObject(digest, len(content), f"./{number}", [Target((str(number),), 0o644)]))
    limits = Limits(jobs=16, part_bytes=PART, large_bytes=PART, memory_bytes=memory_bytes)
    with await anyio.to_thread.run_sync(Destination.open, tmp_path / "out") as destination:
        with anyio.fail_after(20):
            sink = CountingSink(destination, store)
            await download(Repository(store), planned, sink, limits=limits, counters=Counters())
    assert [(tmp_path / "out" / str(number)).read_bytes() for number in range(len(contents))] == contents
