"""Snapshots of a store that is a program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.config import Config
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository

if TYPE_CHECKING:
    from snapdir.stores.external import ExternalStore
    from snapdir.transfer.engine.selection import Selection

__all__ = ["staged_outside"]


@asynccontextmanager
async def staged_outside(
    snapshot_id: SnapshotId, store: ExternalStore, selection: Selection | None, config: Config
) -> AsyncIterator[tuple[Manifest, Repository]]:
    """A snapshot as the program brings it, in a directory that is gone after the block; the cache is left alone.

    Args:
        selection: The part of it to bring; None for nothing but the manifest.
    """
    from snapdir.transfer.engine.plan import plan_objects
    from snapdir.transfer.external import read_manifest, staged

    manifest = await read_manifest(snapshot_id, store)
    wanted = [] if selection is None else await anyio.to_thread.run_sync(lambda: plan_objects(selection.of(manifest)))
    async with staged(snapshot_id, manifest, wanted, store, config.cache_dir.expanduser().absolute()) as source:
        yield manifest, source
