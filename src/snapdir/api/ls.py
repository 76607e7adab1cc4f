"""Which snapshots a store has: list_snapshots."""

from __future__ import annotations

import anyio.to_thread

from snapdir.api.resolve import parse_ref
from snapdir.api.stores import StorePair, opened
from snapdir.config import Config
from snapdir.errors import InvalidStore
from snapdir.transfer.comparing.sizes import SnapshotSummary, summarise


async def list_snapshots(store: str, *, config: Config | None = None) -> list[SnapshotSummary]:
    """All snapshots of a store with their dates, files and bytes, oldest first. Reads every manifest.

    Raises:
        InvalidStore: ``store`` is not the URL of a store.
        StoreMissing: the store does not exist.
    Cost: a request for each 1,000 snapshots, and one for each snapshot. They run concurrently.
    """
    from snapdir.transfer.comparing.manifests import read_manifests

    config = config or Config()
    ref = await anyio.to_thread.run_sync(parse_ref, store)
    if not ref.is_whole_store:
        raise InvalidStore(f"{store} is not a store; write file:///path, ./path or s3://bucket/prefix")
    async with opened(StorePair(ref.store), config) as source:
        return await read_manifests(source, summarise, limits=config.limits)
