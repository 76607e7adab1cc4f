"""A request that is late is hedged: a second request fetches the missing bytes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.destination import Destination
from snapdir.hashing.tree import digest_of
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB
from snapdir.repository.repository import Repository
from snapdir.stores.blocks import BlockSink
from snapdir.transfer.download import hedging
from snapdir.transfer.download.assembly import Assembly
from snapdir.transfer.download.hedging import HedgedRequest
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.streams import Damaged, LargeObjects
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, Target
from tests.transfer.conftest import RecordingStore

PART = 256 * KIB
CONTENTS = [bytes([number]) * (3 * PART) + b"end" for number in range(3)]


class HangingStore(RecordingStore):
    """The first read of ``hanging`` gets ``before`` bytes, then hangs until it is cancelled."""

    hanging = ""
    before = 0

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        if key != self.hanging:
            await super().read_through(key, sink, start=start, length=length)
            return
        self.hanging = ""
        if self.before:
            await super().read_through(key, sink, start=start, length=self.before)
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled = True


class RecoveringStore(RecordingStore):
    """The first read of ``slow`` waits until a second one has begun, and is then the first to bring the rest.

    The second one brings wrong bytes: before the first returns, or only when it is cancelled, as where a thread still
    has its block.
    """

    slow = ""
    late_bytes_at_cancellation = False

    def __init__(self, final: Path) -> None:
        super().__init__()
        self.reads = 0
        self.second_began = anyio.Event()
        self.all_brought = anyio.Event()
        self.second_wrote = anyio.Event()
        self.placed_too_early = False
        self._final = final

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        self.reads += key == self.slow
        if key != self.slow:
            await super().read_through(key, sink, start=start, length=length)
        elif self.reads == 1:
            await super().read_through(key, sink, start=start, length=PART)
            await self.second_began.wait()
            await super().read_through(key, sink, start=start + PART, length=length - PART)
            self.all_brought.set()
            if not self.late_bytes_at_cancellation:
                await self.second_wrote.wait()
        else:
            await self._bring_wrong(sink, length)

    async def _bring_wrong(self, sink: BlockSink, length: int) -> None:
        self.second_began.set()
        await self.all_brought.wait()
        try:
            if self.late_bytes_at_cancellation:
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(50):
                    there = await anyio.to_thread.run_sync(self._final.exists)
                    self.placed_too_early = self.placed_too_early or there
                sink.block[:length] = bytes(length)
                await anyio.to_thread.run_sync(sink.put, length)
        self.second_wrote.set()
        await anyio.sleep_forever()


@pytest.mark.parametrize("at_cancellation", [False, True])
async def test_a_second_request_changes_nothing_of_what_the_first_has_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_cancellation: bool
) -> None:
    store = RecoveringStore(tmp_path / "out" / "2")
    store.late_bytes_at_cancellation = at_cancellation
    store.slow = object_key(digest_of(CONTENTS[-1]))
    assert not await receive_all(store, tmp_path / "out", monkeypatch, jobs=2)
    assert store.reads == 2
    assert not store.placed_too_early
    assert [(tmp_path / "out" / str(number)).read_bytes() for number in range(3)] == CONTENTS


@pytest.mark.parametrize("done", range(9))
async def test_the_second_request_writes_only_behind_what_the_first_has(tmp_path: Path, done: int) -> None:
    """The first has bytes 0 to 8; the second, which began at byte 4, brings two at a time."""
    descriptor = os.open(tmp_path / "temporary", os.O_RDWR | os.O_CREAT)
    assembly = Assembly(PlannedObject(digest_of(b""), 16, "./x", []), 16, descriptor, 16)
    segment = assembly.take(1)
    request = HedgedRequest(assembly, segment)
    request.write(memoryview(b"firstone"))
    rest = segment._replace(offset=4, length=12, hashed_live=False)
    request.write_hedge(rest, memoryview(b"22"), done)
    expected = bytearray(16)
    expected[4 + done : 6 + done] = b"22"
    expected[:8] = b"firstone"
    assert os.pread(descriptor, 16, 0) == expected
    os.close(descriptor)


@pytest.mark.parametrize("before", [0, 1, PART, 2 * PART + 5])
@pytest.mark.parametrize("jobs", [2, 8])
async def test_a_late_request_is_hedged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, jobs: int
) -> None:
    store = HangingStore()
    store.hanging, store.before = object_key(digest_of(CONTENTS[-1])), before
    assert not await receive_all(store, tmp_path / "out", monkeypatch, jobs=jobs)
    assert store.cancelled
    assert [(tmp_path / "out" / str(number)).read_bytes() for number in range(3)] == CONTENTS


async def receive_all(
    store: RecordingStore, out: Path, monkeypatch: pytest.MonkeyPatch, *, jobs: int
) -> Sequence[Damaged]:
    """Put CONTENTS into the store and receive them as 0, 1 and 2 of ``out``; every request that waits is late."""
    monkeypatch.setattr(hedging, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(hedging, "LATE_LOOK_SECONDS", 0.0)
    planned = []
    for number, content in enumerate(CONTENTS):
        digest = digest_of(content)
        await store.write(object_key(digest), content)
        planned.append(PlannedObject(digest, len(content), f"./{number}", [Target((str(number),), 0o644)]))
    limits = dataclasses.replace(Limits(), jobs=jobs, part_bytes=PART, large_bytes=PART)
    with await anyio.to_thread.run_sync(Destination.open, out) as destination:
        sink = DirectorySink(destination)
        objects = LargeObjects(Repository(store), sink, limits, Counters(), memory=ByteBudget(limits.memory_bytes))
        with anyio.fail_after(30):
            return await objects.receive(planned)
