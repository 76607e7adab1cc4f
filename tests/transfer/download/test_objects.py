"""A large object that arrives damaged is fetched again, a limited number of times."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.destination import Destination
from snapdir.errors import CorruptObject, ungrouped
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB
from snapdir.repository.repository import READ_ATTEMPTS, Repository
from snapdir.stores.memory import MemoryStore
from snapdir.testing.faults import FaultyStore
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.objects import download
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject, Target

PART = 256 * KIB
CONTENT = os.urandom(PART)
DIGEST = Digest(digest_of(CONTENT))
LIMITS = Limits(large_bytes=KIB, part_bytes=PART, jobs=1)


async def bring(store: FaultyStore, root: Path) -> None:
    objects = [PlannedObject(DIGEST, len(CONTENT), "./large", [Target(("large",), 0o644)])]
    with await anyio.to_thread.run_sync(Destination.open, root) as destination, ungrouped("download"):
        await download(Repository(store), objects, DirectorySink(destination), limits=LIMITS, counters=Counters())


def damaging(words: str) -> FaultyStore:
    return FaultyStore(MemoryStore({object_key(DIGEST): CONTENT}), read=words)


def reads(store: FaultyStore) -> int:
    return [kind for kind, _ in store.calls].count("read")


@pytest.mark.parametrize("damaged", range(READ_ATTEMPTS))
async def test_a_large_object_is_right_at_the_last_attempt(damaged: int, tmp_path: Path) -> None:
    store = damaging("flip " * damaged)
    await bring(store, tmp_path / "to")
    assert await anyio.Path(tmp_path / "to" / "large").read_bytes() == CONTENT
    assert reads(store) == damaged + 1


async def test_one_that_is_damaged_every_time_is_an_error_and_no_file(tmp_path: Path) -> None:
    store = damaging("flip " * 20)
    with pytest.raises(CorruptObject):
        await bring(store, tmp_path / "to")
    assert not await anyio.Path(tmp_path / "to" / "large").exists()
    assert reads(store) == READ_ATTEMPTS
