"""The objects of a cache: which are damaged, and which are mended."""

from __future__ import annotations

import errno
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from snapdir.errors import CorruptObject, LocalError, ObjectNotFound, TransferFailed
from snapdir.model.keys import object_key
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.download.local_objects import find_unsound, require_sound
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.engine.planned_objects import PlannedObject
from tests.transfer.conftest import push_tree

STANDARD_STREAMS = 3
"""As a limit of open files: no number is free below it, whatever another thread closes."""


@pytest.fixture
def cache(tmp_path: Path) -> Repository:
    return Repository(FileStore(tmp_path / "cache", StoreSettings(fsync=False)), is_cache=True)


@pytest.fixture
async def objects(tree: Path, cache: Repository) -> list[PlannedObject]:
    """The objects of ``tree``, which the cache holds."""
    return plan_objects(await cache.read_manifest(await push_tree(tree, cache, Limits())))


def flip(cache: Repository, key: str) -> None:
    file = cache.store.local_path(key)
    assert file is not None
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


async def test_unsound_objects_come_in_order_with_what_needs_them(
    objects: list[PlannedObject], cache: Repository, counters: Counters
) -> None:
    assert await find_unsound(objects, cache, limits=Limits(), counters=counters) == []
    assert counters.files_done == counters.files_total == len(objects)
    assert counters.bytes_done == counters.bytes_total
    wrong = [planned for planned in objects if planned.size]
    for planned in wrong:
        flip(cache, object_key(planned.digest))
    await cache.delete_object(wrong[1].digest)
    unsound = await find_unsound(objects, cache, limits=Limits(batch_files=1, hash_threads=3), counters=Counters())
    assert [planned.digest for planned, _ in unsound] == [planned.digest for planned in wrong]
    assert [type(error) for _, error in unsound][:2] == [CorruptObject, ObjectNotFound]
    assert unsound[0].error.__notes__ == [f"needed by {wrong[0].path}"]
    assert "snapdir verify-cache --purge" in str(unsound[0].error)


@pytest.mark.parametrize("count", [1, 2])
async def test_without_a_way_to_mend_all_are_errors(
    count: int, objects: list[PlannedObject], cache: Repository
) -> None:
    wrong = [planned for planned in objects if planned.size][:count]
    for planned in wrong:
        flip(cache, object_key(planned.digest))
    with pytest.raises(CorruptObject if count == 1 else TransferFailed) as caught:
        await require_sound(objects, cache, None, limits=Limits(), counters=Counters())
    for planned in wrong:
        assert planned.digest in str(caught.value)


async def test_what_is_not_right_is_mended_and_looked_at_again(objects: list[PlannedObject], cache: Repository) -> None:
    wrong = [planned for planned in objects if planned.size][:2]
    right = {planned.digest: await cache.read_object(planned.digest, planned.size or 0) for planned in wrong}
    asked: list[str] = []

    async def mend(unsound: Sequence[PlannedObject]) -> None:
        asked.extend(planned.digest for planned in unsound)
        await cache.write_object(wrong[0].digest, right[wrong[0].digest])

    for planned in wrong:
        flip(cache, object_key(planned.digest))
    with pytest.raises(CorruptObject, match=wrong[1].digest):
        await require_sound(objects, cache, mend, limits=Limits(), counters=Counters())
    assert asked == [planned.digest for planned in wrong]
    await cache.write_object(wrong[1].digest, right[wrong[1].digest])
    await require_sound(objects, cache, mend, limits=Limits(), counters=Counters())


async def test_a_process_that_can_open_no_more_finds_nothing_wrong_with_an_object(
    cache: Repository, objects: list[PlannedObject]
) -> None:
    await find_unsound(objects, cache, limits=Limits(hash_threads=1), counters=Counters())  # every thread has started
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (STANDARD_STREAMS, hard))
    try:
        with pytest.raises(LocalError) as caught:
            await find_unsound(objects, cache, limits=Limits(hash_threads=1), counters=Counters())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
