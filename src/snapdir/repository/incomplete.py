"""Manifests of snapshots of which a cache holds only a part: where it has a manifest proper, it has every object."""

from __future__ import annotations

from snapdir.errors import ManifestNotFound, StoreMissing
from snapdir.model.digest import Digest
from snapdir.model.keys import INCOMPLETE, incomplete_key
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository

__all__ = ["find_incomplete", "forget_incomplete", "read_incomplete", "write_incomplete"]


async def read_incomplete(snapshot_id: Digest, cache: Repository) -> Manifest | None:
    """The manifest that a partial fetch left, checked against its id; None if there is none.

    Raises:
        InvalidManifest, CorruptManifest, StoreError: it is damaged, or cannot be read.
    """
    try:
        return await cache.read_manifest_at(incomplete_key(snapshot_id), snapshot_id)
    except (ManifestNotFound, StoreMissing):
        return None


async def find_incomplete(digits: str, cache: Repository) -> list[str]:
    """Ids that start with ``digits`` of snapshots that were fetched in part."""
    pages = cache.store.list(incomplete_key(digits))
    return [info.key.removeprefix(INCOMPLETE) async for page in pages for info in page]


async def write_incomplete(manifest: Manifest, snapshot_id: Digest, cache: Repository) -> None:
    """Keep the manifest of a snapshot that was fetched in part."""
    await cache.store.write(incomplete_key(snapshot_id), manifest.stored)


async def forget_incomplete(snapshot_id: Digest, cache: Repository) -> None:
    """Drop the note about a snapshot that is complete now."""
    await cache.store.delete([incomplete_key(snapshot_id)])
