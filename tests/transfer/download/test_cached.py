"""What a cache holds of a snapshot: which manifest is believed, and which objects are mended."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from snapdir.errors import CorruptManifest, CorruptObject, LocalError, ManifestNotFound, ObjectNotFound, TransferFailed
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import incomplete_key, manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.download.cached import HeldManifest, held_manifest, keep_manifest, mend_manifest, require_sound
from snapdir.transfer.download.local_objects import find_unsound
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject, plan_objects
from snapdir.transfer.push import push
from snapdir.transfer.snapshot import TreeOptions


@pytest.fixture
def cache(tmp_path: Path) -> Repository:
    return Repository(FileStore(tmp_path / "cache", StoreSettings(fsync=False)), advice="look into the cache")


@pytest.fixture
async def kept(tree: Path, cache: Repository) -> SnapshotId:
    return await push(tree, cache, options=TreeOptions(), limits=Limits(), counters=Counters())


@pytest.fixture
async def manifest(kept: SnapshotId, cache: Repository) -> Manifest:
    return await cache.read_manifest(kept)


@pytest.fixture
def objects(manifest: Manifest) -> list[PlannedObject]:
    return plan_objects(manifest)


def flip(cache: Repository, key: str) -> None:
    file = cache.store.local_path(key)
    assert file is not None
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


async def test_the_manifest_proper_is_believed_first(kept: SnapshotId, cache: Repository, manifest: Manifest) -> None:
    assert await held_manifest(kept, cache) == HeldManifest(manifest, is_complete=True)
    await cache.store.delete([manifest_key(kept)])
    assert await held_manifest(kept, cache) == HeldManifest(None)
    await keep_manifest(manifest, kept, cache, complete=False)
    assert await held_manifest(kept, cache) == HeldManifest(None)
    held = await held_manifest(kept, cache, incomplete=True)
    assert held == HeldManifest(manifest, is_complete=False)
    assert held.require(kept) == manifest


@pytest.mark.parametrize("complete", [True, False])
async def test_a_damaged_one_is_told_and_mended_as_what_it_was(
    complete: bool, kept: SnapshotId, cache: Repository, manifest: Manifest, counters: Counters
) -> None:
    key = manifest_key(kept) if complete else incomplete_key(kept)
    await cache.store.delete([manifest_key(kept)])
    await keep_manifest(manifest, kept, cache, complete=complete)
    flip(cache, key)
    held = await held_manifest(kept, cache, incomplete=True)
    assert (held.manifest, held.is_complete, type(held.damage)) == (None, complete, CorruptManifest)
    with pytest.raises(CorruptManifest) as caught:
        held.require(kept)
    assert any("look into the cache" in note for note in caught.value.__notes__)
    await mend_manifest(manifest, kept, cache, held, counters)
    assert await cache.store.read(key) == manifest.stored
    assert counters.warnings == [f"the manifest of {kept} in the cache was damaged and has been fetched again"]


async def test_a_manifest_that_cannot_be_replaced_is_a_warning(
    kept: SnapshotId, cache: Repository, manifest: Manifest, counters: Counters, tmp_path: Path
) -> None:
    held = HeldManifest(None, is_complete=True, damage=ManifestNotFound(kept))
    (tmp_path / "a file").touch()
    nowhere = Repository(FileStore(tmp_path / "a file"))
    await mend_manifest(manifest, kept, nowhere, held, counters)
    (warning,) = counters.warnings
    assert "is damaged and cannot be replaced: " in warning


async def test_unsound_objects_come_in_order_with_what_needs_them(
    objects: list[PlannedObject], cache: Repository, counters: Counters
) -> None:
    assert await find_unsound(objects, cache, limits=Limits(), counters=counters) == []
    assert counters.files_done == counters.files_total == len(objects)
    assert counters.bytes_done == counters.bytes_total
    wrong = [one for one in objects if one.size]
    for one in wrong:
        flip(cache, object_key(one.digest))
    await cache.delete_object(wrong[1].digest)
    found = await find_unsound(objects, cache, limits=Limits(batch_files=1, hash_threads=3), counters=Counters())
    assert [one.digest for one, _ in found] == [one.digest for one in wrong]
    assert [type(error) for _, error in found][:2] == [CorruptObject, ObjectNotFound]
    assert found[0].error.__notes__ == [f"needed by {wrong[0].path}"]
    assert "look into the cache" in str(found[0].error)


@pytest.mark.parametrize("count", [1, 2])
async def test_without_a_way_to_mend_all_are_errors(
    count: int, objects: list[PlannedObject], cache: Repository
) -> None:
    wrong = [one for one in objects if one.size][:count]
    for one in wrong:
        flip(cache, object_key(one.digest))
    with pytest.raises(CorruptObject if count == 1 else TransferFailed) as caught:
        await require_sound(objects, cache, None, limits=Limits(), counters=Counters())
    for one in wrong:
        assert one.digest in str(caught.value)


async def test_what_is_not_right_is_mended_and_looked_at_again(objects: list[PlannedObject], cache: Repository) -> None:
    wrong = [one for one in objects if one.size][:2]
    right = {one.digest: await cache.read_object(one.digest, one.size or 0) for one in wrong}
    asked: list[str] = []

    async def mend(unsound: Sequence[PlannedObject]) -> None:
        asked.extend(one.digest for one in unsound)
        await cache.write_object(wrong[0].digest, right[wrong[0].digest])

    for one in wrong:
        flip(cache, object_key(one.digest))
    with pytest.raises(CorruptObject, match=wrong[1].digest):
        await require_sound(objects, cache, mend, limits=Limits(), counters=Counters())
    assert asked == [one.digest for one in wrong]
    await cache.write_object(wrong[1].digest, right[wrong[1].digest])
    await require_sound(objects, cache, mend, limits=Limits(), counters=Counters())


async def test_a_process_that_can_open_no_more_finds_nothing_wrong_with_an_object(
    cache: Repository, objects: list[PlannedObject]
) -> None:
    await find_unsound(objects, cache, limits=Limits(hash_threads=1), counters=Counters())  # every thread has started
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(LocalError) as caught:
            await find_unsound(objects, cache, limits=Limits(hash_threads=1), counters=Counters())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
