"""Which snapshots a store has: list_snapshots."""

from __future__ import annotations

import anyio.to_thread

from snapdir.api.resolve import parse_ref
from snapdir.api.stores import StorePair, opened
from snapdir.config import Config
from snapdir.errors import InvalidStore
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published
from snapdir.transfer.comparing.sizes import SnapshotSummary, summarise


async def list_snapshots(store: str, *, config: Config | None = None) -> list[SnapshotSummary]:
    """All snapshots of a store with their dates, files and bytes, oldest first. Reads every manifest.

    Raises:
        InvalidStore: ``store`` is not the URL of a store.
        StoreMissing: the store does not exist.
    Cost: a request for each 1,000 snapshots, and one for each snapshot. They run concurrently.
    """
    from snapdir.transfer.comparing.manifests import each_manifest, published_by_date

    config = config or Config()
    ref = await anyio.to_thread.run_sync(parse_ref, store)
    if not ref.is_whole_store:
        raise InvalidStore(f"{store} is not a store; write file:///path, ./path or s3://bucket/prefix")
    summaries: dict[str, SnapshotSummary] = {}

    def keep(snapshot: Published, manifest: Manifest) -> None:
        summaries[snapshot.snapshot_id] = summarise(snapshot, manifest)

    async with opened(StorePair(ref.store), config) as source:
        published = await published_by_date(source)
        await each_manifest(source, published, keep, limits=config.limits)
    return [summaries[snapshot.snapshot_id] for snapshot in published]
