"""A mirror removes only snapshots that its source certainly lacks."""

from __future__ import annotations

import pytest

from snapdir.errors import AccessDenied, ObjectNotFound, SnapdirError, StoreError
from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model.entry import Entry
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.base import ObjectInfo
from snapdir.stores.memory import MemoryStore
from snapdir.stores.wrapper import StoreWrapper
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.sync import StoreSync, SyncOptions
from tests.unsorted import by_hash

COUNT = 20


class ObliviousStore(StoreWrapper):
    """Answers every question for a single key in the same way."""

    def __init__(self, inner: MemoryStore, answer: StoreError) -> None:
        super().__init__(inner)
        self._answer = answer

    async def stat(self, key: str) -> ObjectInfo:
        raise self._answer


def filled(count: int = COUNT) -> MemoryStore:
    store = MemoryStore(listed_by=by_hash)
    store.capabilities = store.capabilities._replace(list_page_keys=3)
    for number in range(count):
        data = str(number).encode()
        digest = digest_of(data)
        lines = [Entry("D", "755", digest, len(data), "./"), Entry("F", "644", digest, len(data), "./file")]
        manifest = Manifest(lines)
        store.objects[object_key(digest)] = data
        store.objects[manifest_key(manifest_id(manifest))] = manifest.stored
    return store


def mirror(source: MemoryStore | StoreWrapper, target: MemoryStore, *, dry_run: bool = False) -> StoreSync:
    one, other = Repository(source), Repository(target)
    return StoreSync(one, other, options=SyncOptions(dry_run=dry_run), limits=Limits(), counters=Counters())


async def test_every_snapshot_of_a_store_that_lists_by_hash_is_copied_and_none_pruned() -> None:
    source, target = filled(), MemoryStore()
    pair = mirror(source, target)
    assert len((await pair.copy_all()).snapshots) == COUNT
    assert target.objects == source.objects
    assert await pair.prune() == ()
    assert target.objects == source.objects


async def test_a_snapshot_that_is_there_costs_no_copy() -> None:
    pair = mirror(filled(1), MemoryStore())
    (snapshot,) = (await pair.copy_all()).snapshots
    report = await pair.copy(snapshot)
    assert (report.copied, report.skipped, report.copied_bytes, report.manifests) == (0, 0, 0, 0)


async def test_what_the_source_lacks_goes() -> None:
    source, target = filled(COUNT - 2), filled()
    extra = await mirror(source, target, dry_run=True).prune()
    assert len(extra) == 2
    assert len(target.objects) == 2 * COUNT
    assert await mirror(source, target).prune() == extra
    manifests = {key for key in source.objects if key.startswith(".manifests/")}
    assert {key for key in target.objects if key.startswith(".manifests/")} == manifests


@pytest.mark.parametrize(
    ("answer", "raised"),
    [(ObjectNotFound("all of them"), SnapdirError), (AccessDenied("no"), AccessDenied)],
)
async def test_a_source_that_cannot_say_what_it_has_removes_nothing(
    answer: StoreError, raised: type[SnapdirError]
) -> None:
    target = filled()
    before = dict(target.objects)
    with pytest.raises(raised):
        await mirror(ObliviousStore(filled(COUNT - 2), answer), target).prune()
    assert target.objects == before
