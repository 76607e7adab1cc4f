"""Reading many manifests of a store: concurrently, within the memory of a transfer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from snapdir.errors import ungrouped
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published, Repository
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.limits import Limits

Result = TypeVar("Result")

TEXT_FACTOR = 2
"""Bytes of memory for each byte of a manifest: its text as it comes from the store, and as it is kept."""


async def published_by_date(source: Repository) -> list[Published]:
    """All snapshots of a store, the oldest first; those without dates, or of the same second, by their ids."""
    snapshots = [published async for published in source.list_published()]
    return sorted(snapshots, key=lambda published: (published.stored_seconds or 0.0, published.snapshot_id))


async def read_manifests(
    source: Repository, use: Callable[[Published, Manifest], Result], *, limits: Limits
) -> list[Result]:
    """Read every manifest of a store; the results of ``use``, by date, oldest first.

    ``use`` is called in a thread, for one manifest at a time, in the order of their arrival.

    Raises:
        ManifestNotFound, InvalidManifest, CorruptManifest, StoreError: a manifest cannot be read.
    Cost: a request each. Memory: ``limits.memory_bytes`` or one manifest, besides the results.
    """
    budget = ByteBudget(limits.memory_bytes)
    one_at_a_time = anyio.CapacityLimiter(1)
    results: dict[SnapshotId, Result] = {}

    async def read(published: Published) -> None:
        async with budget.share(TEXT_FACTOR * published.manifest_bytes):
            manifest = await source.read_manifest(published.snapshot_id)
            result = await anyio.to_thread.run_sync(use, published, manifest, limiter=one_at_a_time)
            results[published.snapshot_id] = result

    snapshots = await published_by_date(source)
    with ungrouped(f"read the manifests of {source.url}"):
        await run_workers(snapshots, read, workers=limits.workers(source.store))
    return [results[published.snapshot_id] for published in snapshots]
