"""A request that hangs while everything else is done is overtaken by a second one for what it lacks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.destination import Destination
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB
from snapdir.repository.repository import Repository
from snapdir.stores.blocks import BlockSink
from snapdir.transfer import large_objects
from snapdir.transfer.events import Counters
from snapdir.transfer.landing import TreeLanding
from snapdir.transfer.large_objects import LargeObjects
from snapdir.transfer.limits import Limits
from snapdir.transfer.plan import Target, Wanted
from snapdir.transfer.stages import Budget

from .conftest import RecordingStore

PART = 256 * KIB
CONTENTS = [bytes([number]) * (3 * PART) + b"end" for number in range(3)]


class HangingStore(RecordingStore):
    """The first read of ``hanging`` brings ``before`` bytes and then nothing more, until it is cancelled."""

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


@pytest.mark.parametrize("before", [0, 1, PART, 2 * PART + 5])
@pytest.mark.parametrize("jobs", [2, 8])
async def test_what_is_late_is_overtaken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, jobs: int
) -> None:
    monkeypatch.setattr(large_objects, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(large_objects, "LATE_LOOK_SECONDS", 0.0)
    store = HangingStore()
    wanted = []
    for number, content in enumerate(CONTENTS):
        digest = digest_of(content)
        await store.write(object_key(digest), content)
        wanted.append(Wanted(digest, len(content), f"./{number}", [Target((str(number),), 0o644)]))
    store.hanging, store.before = object_key(Digest(wanted[-1].digest)), before
    limits = dataclasses.replace(Limits(), jobs=jobs, part_bytes=PART, large_bytes=PART)
    with await anyio.to_thread.run_sync(Destination.open, tmp_path / "out") as destination:
        landing = TreeLanding(destination)
        objects = LargeObjects(Repository(store), landing, limits, Counters(), memory=Budget(limits.memory_bytes))
        with anyio.fail_after(30):
            assert not await objects.receive(wanted)
    assert store.cancelled
    assert [(tmp_path / "out" / str(number)).read_bytes() for number in range(3)] == CONTENTS
