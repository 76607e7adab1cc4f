"""The number of streams at the start of large downloads, and the size of their blocks."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.destination import Destination
from snapdir.hashing.tree import digest_of
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.blocks import BlockSink
from snapdir.transfer.download import streams
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.objects import download
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, Target
from tests.transfer.conftest import RecordingStore

CPUS = 3
PART = 256 * KIB


class WaitingStore(RecordingStore):
    """No read returns before ``streams`` reads are in flight.

    Attributes:
        block_bytes: Of every read.
        most: The most concurrent reads.
    """

    def __init__(self, streams: int, *, encrypted: bool) -> None:
        super().__init__()
        self.capabilities = self.capabilities._replace(encrypted=encrypted)
        self.block_bytes = set[int]()
        self.most = self._now = 0
        self._streams = streams
        self._all_there = anyio.Event()

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        self.block_bytes.add(len(sink.block))
        self._now += 1
        self.most = max(self.most, self._now)
        if self.most == self._streams:
            self._all_there.set()
        await self._all_there.wait()
        await super().read_through(key, sink, start=start, length=length)
        self._now -= 1


@pytest.mark.parametrize(
    ("encrypted", "stream_count", "block_bytes"),
    [(False, 2 * CPUS, 2 * MIB), (True, CPUS, 512 * KIB)],
    ids=["plain", "tls"],
)
async def test_over_tls_fewer_streams_with_smaller_blocks(
    encrypted: bool, stream_count: int, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "usable_cpus", lambda: CPUS)
    monkeypatch.setattr(streams, "LOOK_SECONDS", 60)  # later streams are the affair of stream_scaling
    store = WaitingStore(stream_count, encrypted=encrypted)
    planned = []
    for number in range(3 * stream_count):
        content = bytes([number]) * (2 * PART)
        digest = digest_of(content)
        await store.write(object_key(digest), content)
        planned.append(PlannedObject(digest, len(content), f"./{number}", [Target((str(number),), 0o644)]))
    with await anyio.to_thread.run_sync(Destination.open, tmp_path / "out") as destination:
        with anyio.fail_after(20):
            limits = Limits(part_bytes=PART, large_bytes=PART)
            await download(Repository(store), planned, DirectorySink(destination), limits=limits, counters=Counters())
    assert (store.most, store.block_bytes) == (stream_count, {block_bytes})
