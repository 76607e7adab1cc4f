"""Reading many manifests of a store: concurrently, within the memory of a transfer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio.to_thread

from snapdir.errors import ungrouped
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published, Repository
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.limits import Limits

PARSED_FACTOR = 5
"""Bytes of a parsed manifest for each byte of its text: a line of about 110 is a tuple of five."""


async def published_by_date(source: Repository) -> list[Published]:
    """All snapshots of a store, the oldest first; those without dates, or of the same second, by their ids."""
    snapshots = [published async for published in source.list_published()]
    return sorted(snapshots, key=lambda published: (published.stored_seconds or 0.0, published.snapshot_id))


async def each_manifest(
    source: Repository,
    published: Sequence[Published],
    use: Callable[[Published, Manifest], None],
    *,
    limits: Limits,
) -> None:
    """Read every manifest and call ``use`` with it, in a thread, one at a time, in the order of their arrival.

    Raises:
        ManifestNotFound, InvalidManifest, CorruptManifest, StoreError: a manifest cannot be read.
    Cost: a request each. Memory: ``limits.memory_bytes`` or one manifest, besides the memory of ``use``.
    """
    budget = ByteBudget(limits.memory_bytes)
    one_at_a_time = anyio.CapacityLimiter(1)

    async def read(published: Published) -> None:
        async with budget.share(PARSED_FACTOR * published.manifest_bytes):
            manifest = await source.read_manifest(published.snapshot_id)
            await anyio.to_thread.run_sync(use, published, manifest, limiter=one_at_a_time)

    with ungrouped(f"read the manifests of {source.url}"):
        await run_workers(published, read, workers=limits.workers(source.store))
