"""The state of a snapshot in a cache: its manifest, complete or partial, and its objects.

The manifest is below ``.manifests/`` only if the cache has every object of the snapshot. The manifest of a partly
fetched snapshot is below ``.incomplete/``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import (
    AccessDenied,
    CorruptManifest,
    IncompleteCache,
    LocalError,
    ManifestNotFound,
    SnapdirError,
    StoreError,
    StoreMissing,
    local_errors,
)
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.entry import Entry
from snapdir.model.keys import INCOMPLETE, incomplete_key
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository


class HeldManifest(NamedTuple):
    """The manifest that a cache holds of a snapshot.

    Attributes:
        manifest: None if it is absent or damaged.
        is_complete: The cache has all objects of the snapshot: it was not fetched in part.
        damage: The reason why a manifest that is there cannot be used.
    """

    manifest: Manifest | None
    is_complete: bool = False
    damage: SnapdirError | None = None

    def require(self, snapshot_id: Digest) -> Manifest:
        """The manifest.

        Raises:
            ManifestNotFound: the cache has none.
            CorruptManifest, StoreError: it is damaged, or cannot be read.
        """
        if self.manifest is None:
            raise self.damage or ManifestNotFound(snapshot_id, "the local cache")
        return self.manifest


async def held_manifest(snapshot_id: Digest, cache: Repository, *, incomplete: bool = False) -> HeldManifest:
    """Look for a snapshot's manifest; with ``incomplete`` also for that of a snapshot that was fetched in part."""
    try:
        return HeldManifest(await cache.read_manifest(snapshot_id), is_complete=True)
    except (ManifestNotFound, StoreMissing):
        damage: SnapdirError | None = None
    except (CorruptManifest, StoreError) as error:
        damage = error
    if damage is not None or not incomplete:
        return HeldManifest(None, is_complete=damage is not None, damage=damage)
    try:
        return HeldManifest(await read_incomplete(snapshot_id, cache))
    except (CorruptManifest, StoreError) as error:
        return HeldManifest(None, damage=error)


async def read_incomplete(snapshot_id: Digest, cache: Repository) -> Manifest | None:
    """The manifest that a partial fetch left, checked against its id; None without one.

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


async def keep_manifest(
    manifest: Manifest, snapshot_id: Digest, cache: Repository, *, complete: bool, replace: bool = False
) -> None:
    """Record that the cache has a snapshot, or a part of it."""
    if complete:
        await cache.write_manifest(manifest, SnapshotId(snapshot_id), replace=replace)
        await cache.store.delete([incomplete_key(snapshot_id)])
    else:
        await cache.write_text(incomplete_key(snapshot_id), manifest, snapshot_id)
        await cache.flush()


async def mend_manifest(manifest: Manifest, snapshot_id: Digest, cache: Repository, held: HeldManifest) -> str:
    """Replace a damaged manifest by the one from a store, for a verb that only reads the cache.

    Returns:
        A warning that says what was done.
    """
    subject = f"the manifest of {snapshot_id} in the cache"
    if isinstance(held.damage, AccessDenied):
        return f"{subject} cannot be read: {held.damage}"
    try:
        await keep_manifest(manifest, snapshot_id, cache, complete=held.is_complete, replace=True)
    except (LocalError, StoreError) as error:
        return f"{subject} is damaged and cannot be replaced: {error}"
    return f"{subject} was damaged and was fetched again"


def cache_root(cache: Repository) -> Path:
    """The directory of a cache.

    Raises:
        SnapdirError: the cache is not a directory of this host.
    """
    root = cache.objects.local_path("")
    if root is None:
        raise SnapdirError(f"the cache must be a directory of this host, not {cache.url}")
    return root


def require_cached(snapshot_id: Digest, manifest: Manifest, cache: Repository) -> None:
    """Make sure, before a checkout writes anything, that the cache has every object. Blocking.

    Raises:
        IncompleteCache: objects are absent; the message names the first by its path.
    """
    distinct: dict[str, Entry] = {}
    for entry in manifest.files:
        distinct.setdefault(entry.checksum, entry)
    missing = [entry for entry in distinct.values() if not cache.has_file(entry.digest)]
    if missing:
        raise IncompleteCache(snapshot_id, missing[0].digest, missing[0].path, len(missing))


@asynccontextmanager
async def set_aside(digests: Sequence[Digest], cache: Repository) -> AsyncIterator[None]:
    """Rename objects of a cache while the block writes others under their names.

    They are removed when the block succeeds. If it fails, those that were not replaced get their names back: an object
    that cannot be read may be right, and the only copy. Directories stay where they are.
    """
    paths = [path for digest in digests if (path := cache.local_object(digest)) is not None]
    aside = await anyio.to_thread.run_sync(_move_aside, paths)
    try:
        yield
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_put_back, aside)
        raise
    await anyio.to_thread.run_sync(_remove, [moved for _, moved in aside])


def _move_aside(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Each path and the new one of its content: beside it, under a name outside the layout of keys."""
    aside = []
    for path in paths:
        with local_errors(path), suppress(FileNotFoundError, NotADirectoryError):
            if not stat.S_ISDIR(path.lstat().st_mode):
                moved = path.with_name(f"{path.name}.damaged-{os.urandom(4).hex()}")
                path.rename(moved)
                aside.append((path, moved))
    return aside


def _put_back(aside: Iterable[tuple[Path, Path]]) -> None:
    for path, moved in aside:
        with suppress(OSError):  # the failure of the block is the one to report
            if os.path.lexists(path):
                moved.unlink()
            else:
                moved.rename(path)


def _remove(aside: Iterable[Path]) -> None:
    for moved in aside:
        with local_errors(moved):
            moved.unlink(missing_ok=True)
