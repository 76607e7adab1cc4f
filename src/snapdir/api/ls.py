"""Which snapshots a store has."""

from __future__ import annotations

from snapdir.api.resolve import parse_ref
from snapdir.api.stores import opened
from snapdir.config import Config
from snapdir.errors import InvalidStore
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published
from snapdir.transfer.comparing.compare import SnapshotSummary

__all__ = ["list_snapshots"]


async def list_snapshots(store: str, *, config: Config | None = None) -> list[SnapshotSummary]:
    """All snapshots of a store with their dates, files and bytes, the oldest first. Reads every manifest.

    Raises:
        InvalidStore: not a store.
        StoreMissing: there is none.
    Cost: a request for each 1,000 snapshots and one for each snapshot, side by side.
    """
    import anyio.to_thread

    from snapdir.transfer.comparing.compare import summarise
    from snapdir.transfer.comparing.manifests import each_manifest, published_by_date

    config = config or Config()
    ref = await anyio.to_thread.run_sync(parse_ref, store)
    if ref.store is None or not ref.is_whole_store:
        raise InvalidStore(f"{store} is no store; write file:///path, ./path or s3://bucket/prefix")
    found: dict[str, SnapshotSummary] = {}

    def keep(one: Published, manifest: Manifest) -> None:
        found[one.snapshot_id] = summarise(one, manifest)

    async with opened(ref.store, config) as source:
        published = await published_by_date(source)
        await each_manifest(source, published, keep, limits=config.limits)
    return [found[one.snapshot_id] for one in published]
