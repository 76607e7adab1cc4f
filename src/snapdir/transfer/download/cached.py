"""A cache that mends itself: what it holds of a snapshot, what of that is damaged, and how it gets the right bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread

from snapdir.errors import (
    AccessDenied,
    CorruptManifest,
    LocalError,
    ManifestNotFound,
    SnapdirError,
    StoreError,
    StoreMissing,
    TransferFailed,
    local_errors,
)
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.incomplete import forget_incomplete, read_incomplete, write_incomplete
from snapdir.repository.repository import Repository
from snapdir.transfer.download.local_objects import find_unsound
from snapdir.transfer.download.objects import Mend
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject

__all__ = ["HeldManifest", "held_manifest", "keep_manifest", "mend_manifest", "require_sound", "set_aside"]


class HeldManifest(NamedTuple):
    """The manifest that a cache holds of a snapshot.

    Attributes:
        manifest: None if it is absent or damaged.
        is_complete: It was kept as the manifest of a snapshot with all its objects, and not of one fetched in part.
        damage: What is wrong with the manifest that is there.
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
    """Look for a snapshot's manifest; with ``incomplete`` also for that of one that was fetched in part."""
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


async def keep_manifest(
    manifest: Manifest, snapshot_id: Digest, cache: Repository, *, complete: bool, replace: bool = False
) -> None:
    """Write down that the cache has a snapshot, all of it or a part."""
    if complete:
        await cache.write_manifest(manifest, SnapshotId(snapshot_id), replace=replace)
        await forget_incomplete(snapshot_id, cache)
    else:
        await write_incomplete(manifest, snapshot_id, cache)
        await cache.flush()


async def mend_manifest(
    manifest: Manifest, snapshot_id: Digest, cache: Repository, held: HeldManifest, counters: Counters
) -> None:
    """Put a manifest that a store gave in the place of the damaged one, for a verb that only reads the cache."""
    if isinstance(held.damage, AccessDenied):
        counters.warnings.append(f"the manifest of {snapshot_id} in the cache cannot be read: {held.damage}")
        return
    outcome = "was damaged and has been fetched again"
    try:
        await keep_manifest(manifest, snapshot_id, cache, complete=held.is_complete, replace=True)
    except (LocalError, StoreError) as error:
        outcome = f"is damaged and cannot be replaced: {error}"
    counters.warnings.append(f"the manifest of {snapshot_id} in the cache {outcome}")


@asynccontextmanager
async def set_aside(wanted: Sequence[PlannedObject], cache: Repository) -> AsyncIterator[None]:
    """Take objects of a cache out of their places while the block puts others there.

    They are removed when it ends well. When it fails, those whose places are still empty are put back: an object that
    cannot be read may be right, and the last of its kind. Directories stay where they are.
    """
    paths = [path for one in wanted if (path := cache.local_object(one.digest)) is not None]
    aside = await anyio.to_thread.run_sync(_move_aside, paths)
    try:
        yield
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_put_back, aside)
        raise
    await anyio.to_thread.run_sync(_remove, [moved for _, moved in aside])


def _move_aside(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Each path and where its content is now: beside it, under a name outside the layout of keys."""
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
        with suppress(OSError):  # why the block failed is what counts
            if os.path.lexists(path):
                moved.unlink()
            else:
                moved.rename(path)


def _remove(aside: Iterable[Path]) -> None:
    for moved in aside:
        with local_errors(moved):
            moved.unlink(missing_ok=True)


async def require_sound(
    wanted: Sequence[PlannedObject], cache: Repository, mend: Mend | None, *, limits: Limits, counters: Counters
) -> None:
    """Hash every object of ``wanted``, and have ``mend`` fetch damaged and absent ones again.

    Raises:
        ObjectNotFound, CorruptObject, LocalError: an object is damaged or absent, and ``mend`` is None or did not help;
            TransferFailed for several.
    """
    unsound = await find_unsound(wanted, cache, limits=limits, counters=counters)
    if unsound and mend is not None:
        await mend([one for one, _ in unsound])
        unsound = await find_unsound([one for one, _ in unsound], cache, limits=limits, counters=counters)
    if len(unsound) == 1:
        raise unsound[0].error
    if unsound:
        raise TransferFailed(f"{len(unsound)} objects of {cache.url}", [error for _, error in unsound])
