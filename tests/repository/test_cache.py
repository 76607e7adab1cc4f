"""Manifests in a cache: which are trusted, and how a damaged one is repaired."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir.errors import CorruptManifest, ManifestNotFound
from snapdir.hashing.tree import digest_of, directory_checksum, manifest_id
from snapdir.model.digest import SnapshotId
from snapdir.model.entry import FILE, Entry
from snapdir.model.keys import incomplete_key, manifest_key
from snapdir.model.manifest import Manifest
from snapdir.repository.cache import HeldManifest, held_manifest, keep_manifest, mend_manifest
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings


@pytest.fixture
def cache(tmp_path: Path) -> Repository:
    return Repository(FileStore(tmp_path / "cache", StoreSettings(fsync=False)), is_cache=True)


@pytest.fixture
def manifest() -> Manifest:
    files = [Entry(FILE, "644", digest_of(b"alpha"), 5, "./a")]
    return Manifest(
        [
            *files,
            Entry(
                "D", "755", directory_checksum(file.checksum for file in files), sum(file.size for file in files), "./"
            ),
        ]
    )


@pytest.fixture
async def kept(manifest: Manifest, cache: Repository) -> SnapshotId:
    await cache.write_manifest(manifest, manifest_id(manifest))
    return manifest_id(manifest)


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
async def test_a_damaged_manifest_is_reported_and_mended_as_what_it_was(
    complete: bool, kept: SnapshotId, cache: Repository, manifest: Manifest
) -> None:
    key = manifest_key(kept) if complete else incomplete_key(kept)
    await cache.store.delete([manifest_key(kept)])
    await keep_manifest(manifest, kept, cache, complete=complete)
    flip(cache, key)
    held = await held_manifest(kept, cache, incomplete=True)
    assert (held.manifest, held.is_complete, type(held.damage)) == (None, complete, CorruptManifest)
    with pytest.raises(CorruptManifest) as caught:
        held.require(kept)
    assert any("snapdir verify-cache --purge" in note for note in caught.value.__notes__)
    warning = await mend_manifest(manifest, kept, cache, held)
    assert warning == f"the manifest of {kept} in the cache was damaged and was fetched again"
    assert await cache.store.read(key) == manifest.stored


async def test_a_manifest_that_cannot_be_replaced_is_a_warning(
    kept: SnapshotId, cache: Repository, manifest: Manifest, tmp_path: Path
) -> None:
    held = HeldManifest(None, is_complete=True, damage=ManifestNotFound(kept))
    (tmp_path / "a file").touch()
    nowhere = Repository(FileStore(tmp_path / "a file"))
    assert "is damaged and cannot be replaced: " in await mend_manifest(manifest, kept, nowhere, held)
