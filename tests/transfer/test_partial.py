"""A partial transfer requests only the objects of that part, and needs no others."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest

from snapdir.errors import IncompleteCache, InvalidManifest, ManifestNotFound
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import manifest_key
from snapdir.model.manifest import Manifest
from snapdir.repository.cache import held_manifest, read_incomplete, require_cached
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.selection import EVERYTHING, Selection
from snapdir.transfer.fetch import FetchOptions, fetch
from tests.transfer.conftest import RecordingStore, push_tree

SETTINGS = StoreSettings(fsync=False)
HUNDRED = Selection(include=("00[0-9][0-9]-9.bin",))


@pytest.fixture
async def pushed(tmp_path: Path, repository: Repository, store: RecordingStore) -> SnapshotId:
    """5,000 files, all different."""
    tree = tmp_path / "many"
    tree.mkdir()
    for number in range(5000):
        (tree / f"{number // 10:04}-{number % 10}.bin").write_bytes(b"content %d" % number)
    identifier = await push_tree(tree, repository, Limits())
    store.calls.clear()
    return identifier


@pytest.fixture
def cache(tmp_path: Path) -> Repository:
    return Repository(FileStore(tmp_path / "cache", SETTINGS))


async def fetch_part(
    selection: Selection,
    snapshot_id: SnapshotId,
    source: Repository,
    cache: Repository,
    counters: Counters | None = None,
) -> Manifest:
    options = FetchOptions(SETTINGS, selection)
    counters = counters or Counters()
    return await fetch(snapshot_id, source, cache, options=options, limits=Limits(), counters=counters)


async def test_ten_of_five_thousand_files_take_eleven_requests(
    pushed: SnapshotId, repository: Repository, store: RecordingStore, cache: Repository
) -> None:
    selection = Selection(include=("000[0-9]-9.bin",))
    manifest = await fetch_part(selection, pushed, repository, cache)
    assert sum(store.calls.values()) == 11
    await anyio.to_thread.run_sync(require_cached, pushed, selection.of(manifest), cache)
    with pytest.raises(IncompleteCache, match=r"4990 object"):
        await anyio.to_thread.run_sync(require_cached, pushed, manifest, cache)


async def test_a_part_in_the_cache_is_not_taken_for_the_snapshot(
    pushed: SnapshotId, repository: Repository, store: RecordingStore, cache: Repository
) -> None:
    await fetch_part(HUNDRED, pushed, repository, cache)
    assert (await held_manifest(pushed, cache)).manifest is None
    assert await read_incomplete(pushed, cache) == await repository.read_manifest(pushed)
    store.calls.clear()
    again = Counters()
    await fetch_part(HUNDRED, pushed, repository, cache, again)
    assert (store.calls.total(), again.already_complete) == (0, True)
    await fetch_part(EVERYTHING, pushed, repository, cache)
    assert store.kinds()["read"] == 1 + 4900
    assert (await held_manifest(pushed, cache)).is_complete
    assert await read_incomplete(pushed, cache) is None


async def test_objects_of_other_files_may_be_missing_from_the_store(
    pushed: SnapshotId, repository: Repository, store: RecordingStore, cache: Repository
) -> None:
    wanted = {entry.checksum for entry in HUNDRED.of(await repository.read_manifest(pushed)).files}
    for key in [key for key in store.objects if key.startswith(".objects") and key[9:].replace("/", "") not in wanted]:
        del store.objects[key]
    await fetch_part(HUNDRED, pushed, repository, cache)


async def test_a_damaged_note_of_a_part_is_fetched_again(
    pushed: SnapshotId, repository: Repository, cache: Repository
) -> None:
    await fetch_part(HUNDRED, pushed, repository, cache)
    note = cache.store.local_path(f".incomplete/{pushed}")
    assert note is not None
    note.chmod(0o644)
    note.write_bytes(note.read_bytes()[:-20] + b"\n")
    with pytest.raises(InvalidManifest, match="malformed"):
        await read_incomplete(pushed, cache)
    counters = Counters()
    await fetch_part(HUNDRED, pushed, repository, cache, counters)
    assert await read_incomplete(pushed, cache) == await repository.read_manifest(pushed)
    assert counters.warnings == [f"the manifest of {pushed} in the cache was damaged and was fetched again"]


async def test_an_unknown_snapshot_is_still_an_error(
    pushed: SnapshotId, repository: Repository, store: RecordingStore, cache: Repository
) -> None:
    del store.objects[manifest_key(pushed)]
    with pytest.raises(ManifestNotFound):
        await fetch_part(HUNDRED, pushed, repository, cache)
