"""The snapshots of a store, and the stores below a bucket or prefix: ls, find_stores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from snapdir.api.merging import records_of_store
from snapdir.api.resolve import whole_store
from snapdir.api.stores import PathLike, StorePair, opened
from snapdir.api.tag import names_of_snapshots
from snapdir.catalog.locations import store_location
from snapdir.catalog.record import Record
from snapdir.config import Config
from snapdir.errors import ungrouped
from snapdir.model.arguments import checked
from snapdir.model.keys import MANIFESTS
from snapdir.repository.repository import Repository
from snapdir.stores.base import Store
from snapdir.stores.workers import run_workers
from snapdir.transfer.comparing.sizes import SnapshotSummary, summarise
from snapdir.transfer.engine.events import Counters

MAX_FOLDERS = 1000
"""Prefixes that are looked into for stores: more would be the folders of data."""

FOLDERS_AT_ONCE = 16


@checked
async def ls(
    store: PathLike, *, config: Config | None = None, counters: Counters | None = None
) -> list[SnapshotSummary]:
    """All snapshots of a store with dates, files, bytes, names, and the notes and labels of pushes.

    The newest push is first, as in ``log``, also of a snapshot that was pushed before. A snapshot without a recorded
    push has its place by the time of its manifest.

    If the history or the names cannot be read, ``counters`` gets a warning.

    Raises:
        InvalidStore: ``store`` is not the URL of a store.
        StoreMissing: the store does not exist.
    Cost: a request for each 1,000 snapshots, and one for each snapshot, each name and each new record of the history.
        They run concurrently.
    """
    from snapdir.transfer.comparing.manifests import read_manifests

    config, counters = config or Config(), counters or Counters()
    url = await whole_store(store)
    async with opened(StorePair(url), config) as source:
        summaries = await read_manifests(source, summarise, limits=config.limits)
        if not summaries:
            return []
        records = await _records(source, store_location(url), config, counters)
        names = await names_of_snapshots(source, counters)
    described = [
        replace(_described(summary, records[summary.id]), names=tuple(names.get(summary.id, ())))
        for summary in reversed(summaries)
    ]
    return sorted(described, key=_last_seconds, reverse=True)


@checked
async def list_snapshots(store: PathLike, *, config: Config | None = None) -> list[SnapshotSummary]:
    """All snapshots of a store with their dates, files and bytes, oldest first: ``ls`` without history and names.

    Raises:
        InvalidStore: ``store`` is not the URL of a store.
        StoreMissing: the store does not exist.
    Cost: a request for each 1,000 snapshots, and one for each snapshot. They run concurrently.
    """
    from snapdir.transfer.comparing.manifests import read_manifests

    config = config or Config()
    async with opened(StorePair(await whole_store(store)), config) as source:
        return await read_manifests(source, summarise, limits=config.limits)


@checked
async def find_stores(place: PathLike, *, config: Config | None = None, counters: Counters | None = None) -> list[str]:
    """The stores below a bucket or prefix (or below the directory of a ``file://`` URL), by their URLs, sorted.

    Nothing is searched below a store, nor among more than the first 10,000 keys and prefixes of one level. After
    MAX_FOLDERS prefixes the search ends, and ``counters`` gets a warning.

    Raises:
        InvalidStore: ``place`` is not the URL of a store.
        StoreMissing: the bucket or directory does not exist.
    Cost: usually one request for each prefix that is not a store, at most ten. The prefixes of one level are read
    concurrently.
    """
    url = await whole_store(place)
    found: list[str] = []
    async with opened(StorePair(url), config or Config()) as source:
        level, looked = [""], 0
        while level and looked < MAX_FOLDERS:
            looking = level[: MAX_FOLDERS - looked]
            looked += len(looking)
            below = await _folders(looking, source.store)
            found += [prefix for prefix in looking if MANIFESTS.rstrip("/") in below[prefix]]
            level = level[len(looking) :] + [
                f"{prefix}{name}/"
                for prefix in looking
                if prefix not in found
                for name in below[prefix]
                if not name.startswith(".")
            ]
    if level and counters is not None:
        counters.warnings.append(
            f"only {looked:,} prefixes of {place} were searched for stores: name one of its prefixes"
        )
    return sorted(f"{url}/{prefix.rstrip('/')}".rstrip("/") for prefix in found)


async def _folders(prefixes: Sequence[str], store: Store) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}

    async def look(prefix: str) -> None:
        found[prefix] = await store.folders(prefix)

    with ungrouped(f"search {store.url} for stores"):
        await run_workers(prefixes, look, workers=FOLDERS_AT_ONCE)
    return found


async def _records(
    source: Repository, location: str, config: Config, counters: Counters
) -> defaultdict[str, list[Record]]:
    """The records of each snapshot, newest first."""
    of_snapshot: defaultdict[str, list[Record]] = defaultdict(list)
    for record in await records_of_store(source, location, config, counters):
        of_snapshot[record.id].append(record)
    return of_snapshot


def _described(summary: SnapshotSummary, records: Sequence[Record]) -> SnapshotSummary:
    """``summary`` with the newest note of its records, their labels, and the time of the newest push."""
    labels: dict[str, str] = {}
    for record in reversed(records):
        labels |= dict(record.labels)
    note = next((record.note for record in records if record.note is not None), None)
    pushed_at = next((record.created_at for record in records if record.event == "push"), None)
    return replace(summary, note=note, labels=tuple(labels.items()), pushed_at=pushed_at)


def _last_seconds(summary: SnapshotSummary) -> float:
    """When a snapshot was pushed last, or else stored."""
    if summary.pushed_at is None:
        return summary.stored_seconds or 0.0
    return datetime.fromisoformat(summary.pushed_at).replace(tzinfo=UTC).timestamp()
