"""Many manifests, each read once, concurrently, within limits."""

from __future__ import annotations

import dataclasses
from threading import Lock

import anyio
import pytest
from blake3 import blake3

from snapdir.errors import CorruptManifest
from snapdir.hashing.tree import manifest_id
from snapdir.model.entry import FILE, Entry
from snapdir.model.keys import manifest_key
from snapdir.model.manifest import Manifest
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Published, Repository
from snapdir.transfer.comparing.manifests import TEXT_FACTOR, read_manifests
from snapdir.transfer.engine.limits import Limits
from tests.transfer.conftest import RecordingStore


class Watched(RecordingStore):
    """Counts concurrent reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = self.most = 0

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await anyio.lowlevel.checkpoint()
        self.reading -= 1
        return await super().read(key, start=start, length=length)


@pytest.fixture
def watched() -> Watched:
    """Holds 40 snapshots; a later one has a smaller id or not, as it comes."""
    store = Watched()
    store.clock = iter(range(1000)).__next__
    for number in range(40):
        manifest = Manifest([Entry(FILE, "644", "ab" * 32, number, "./f")])
        key = manifest_key(manifest_id(manifest))
        store.objects[key] = manifest.stored
        store._modified[key] = float(number)
    return store


async def read_all(store: Watched, limits: Limits) -> list[int]:
    """The size of the one file of each snapshot, by date."""
    return await read_manifests(Repository(store), lambda _, manifest: manifest.entries[0].size, limits=limits)


async def test_every_manifest_is_read_once_and_dates_give_the_order(watched: Watched) -> None:
    assert await read_all(watched, Limits()) == list(range(40))
    assert watched.kinds() == {"list": 1, "read": 40}
    assert 1 < watched.most <= watched.capabilities.max_concurrency


async def test_the_manifests_are_used_one_at_a_time(watched: Watched) -> None:
    source = Repository(watched)
    alone = Lock()

    def use(_one: Published, _manifest: Manifest) -> None:
        assert alone.acquire(blocking=False)
        blake3(bytes(MIB))  # others run meanwhile
        alone.release()

    await read_manifests(source, use, limits=Limits())


async def test_memory_bounds_how_many_are_read_at_once(watched: Watched) -> None:
    longest = max(map(len, watched.objects.values()))
    await read_all(watched, dataclasses.replace(Limits(), memory_bytes=2 * TEXT_FACTOR * longest))
    assert watched.most == 2


async def test_a_manifest_larger_than_memory_is_read_alone(watched: Watched) -> None:
    await read_all(watched, dataclasses.replace(Limits(), memory_bytes=1))
    assert watched.most == 1


async def test_one_damaged_manifest_is_the_error_that_names_it(watched: Watched) -> None:
    key = sorted(watched.objects)[7]
    watched.objects[key] = watched.objects[sorted(watched.objects)[8]]
    with pytest.raises(CorruptManifest, match=key):
        await read_all(watched, Limits())


async def test_an_empty_store_has_none() -> None:
    assert await read_all(Watched(), Limits()) == []
