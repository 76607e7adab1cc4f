"""The revisions of a store or a directory, and the changes of each: log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import NamedTuple

import anyio
import anyio.to_thread

from snapdir.api.merging import merge, opened_catalog
from snapdir.api.resolve import holds_store
from snapdir.api.stores import PathLike, StorePair, local_path, opened, opened_cache, require_existing
from snapdir.catalog.locations import directory_location, possible_locations, store_location
from snapdir.catalog.record import Record, parse_moment, timestamp
from snapdir.config import Config
from snapdir.errors import (
    HashMismatchError,
    InvalidManifest,
    InvalidStore,
    ManifestNotFound,
    StoreMissing,
    ungrouped,
)
from snapdir.model.arguments import checked
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreURL
from snapdir.stores.workers import run_workers
from snapdir.transfer.comparing.diff import compare, union
from snapdir.transfer.comparing.sizes import measure
from snapdir.transfer.engine.events import Counters

READ_AT_ONCE = 8
"""Manifests in memory, about: those of one group of revisions and of the snapshots they followed."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A snapshot that became the latest of a location.

    Attributes:
        created_at: When, in UTC: ``YYYY-MM-DD HH:MM:SS.mmm``.
        event: ``push``, ``stage`` or ``manifest``.
        previous_id: The previous snapshot; None for the first. Equal to ``id`` if only the provenance is new.
        size_bytes, files: Bytes and number of its files; None, like the changes, if its manifest is not available.
        added, removed, modified: Numbers of files, compared with the previous snapshot.
    """

    created_at: str
    id: str
    previous_id: str | None
    event: str
    location: str
    size_bytes: int | None = None
    files: int | None = None
    added: int | None = None
    removed: int | None = None
    modified: int | None = None
    derived_from: tuple[str, ...] = ()
    note: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


@checked
async def log(
    place: PathLike,
    *,
    labels: Mapping[str, str] | None = None,
    since: str | datetime | None = None,
    note: str | None = None,
    limit: int | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> list[Revision]:
    """The revisions of a store or a directory, newest first, with the changes of each. Only manifests are read.

    Revisions come from the catalog of this machine and, for a store, from the history in the store. The manifests of a
    directory are read from the cache.

    Args:
        place: The URL of a store, or a directory.
        labels: Only revisions with all of these labels.
        since: Only revisions from this moment on: a date (``2026-11-30``, in UTC), or an age (``7d``, ``12h``).
        note: Only revisions whose note contains this text, in any case.
        limit: Maximum number of revisions; None for all.

    Raises:
        StoreError: the store cannot be read.
        CatalogError: the catalog cannot be read, and ``place`` is a directory.
        InvalidStore: ``place`` is an invalid URL.
        InvalidOption: ``since`` is no moment.
        StoreMissing: nothing is recorded about ``place``, and it does not exist.
    Cost: two requests for a store that has nothing new, and one for each revision.
    """
    config, counters = config or Config(), counters or Counters()
    wanted = _Wanted.of(labels, since, note)
    path = local_path(place)
    url = await anyio.to_thread.run_sync(_store_at, path)
    locations = await anyio.to_thread.run_sync(possible_locations, path)
    source_opened = opened_cache(config) if url is None else opened(StorePair(url), config)
    async with opened_catalog(config, counters, needed=url is None) as catalog, source_opened as source:
        if url is not None:
            await merge(catalog, source, store_location(url), counters)
        records = await anyio.to_thread.run_sync(partial(catalog.records, locations=locations))
        if not records:
            directory = await anyio.to_thread.run_sync(directory_location, path)
            await require_existing(StorePair(url or StoreURL("file", directory)), config)
        return await _revisions(list(islice(filter(wanted.includes, records), limit)), source)


class _Wanted(NamedTuple):
    """Which revisions are listed."""

    labels: Mapping[str, str]
    since: str
    note: str

    @classmethod
    def of(cls, labels: Mapping[str, str] | None, since: str | datetime | None, note: str | None) -> _Wanted:
        if isinstance(since, str):
            since = parse_moment(since, now=datetime.now(UTC))
        return cls(labels or {}, timestamp(since) if since else "", (note or "").casefold())

    def includes(self, record: Record) -> bool:
        return (
            record.created_at >= self.since
            and self.labels.items() <= dict(record.labels).items()
            and self.note in (record.note or "").casefold()
        )


def _store_at(path: str) -> StoreURL | None:
    """The store at ``path``; None for a directory that is not a store.

    Raises:
        InvalidStore: ``path`` is a malformed URL.
    """
    try:
        url = StoreURL.parse(path)
    except InvalidStore:
        if ":" in path.partition("/")[0]:
            raise
        url = StoreURL("file", directory_location(path))
    return url if "://" in path or holds_store(url.location) else None


async def _revisions(records: Sequence[Record], source: Repository) -> list[Revision]:
    revisions: list[Revision] = []
    held: dict[str, Manifest | None] = {}
    for first in range(0, len(records), READ_AT_ONCE):
        group = records[first : first + READ_AT_ONCE]
        wanted = {id_ for record in group for id_ in (record.id, record.previous_id) if id_ is not None}
        held = {id_: manifest for id_, manifest in held.items() if id_ in wanted}
        held |= await _read(wanted - held.keys(), source)
        revisions += await anyio.to_thread.run_sync(partial(_compared, group, held))
    return revisions


async def _read(wanted: Collection[str], source: Repository) -> Mapping[str, Manifest | None]:
    found: dict[str, Manifest | None] = {}

    async def read(id_: str) -> None:
        try:
            found[id_] = await source.read_manifest(SnapshotId(id_))
        except (ManifestNotFound, StoreMissing, InvalidManifest, HashMismatchError):
            found[id_] = None  # verify finds out why

    with ungrouped("read manifests"):
        await run_workers(wanted, read, workers=READ_AT_ONCE)
    return found


def _compared(records: Iterable[Record], manifests: Mapping[str, Manifest | None]) -> list[Revision]:
    return [_revision(record, manifests) for record in records]


def _revision(record: Record, manifests: Mapping[str, Manifest | None]) -> Revision:
    facts: dict[str, int] = {}
    manifest = manifests[record.id]
    before = manifests[record.previous_id] if record.previous_id is not None else Manifest(())
    if manifest is not None:
        stats = measure([manifest])
        facts = {"size_bytes": stats.logical_bytes, "files": stats.files}
    if manifest is not None and before is not None:
        facts |= _changes(before, manifest)
    return Revision(
        record.created_at,
        record.id,
        record.previous_id,
        record.event,
        record.location,
        derived_from=record.derived_from,
        note=record.note,
        labels=record.labels,
        **facts,
    )


def _changes(before: Manifest, after: Manifest) -> dict[str, int]:
    count = Counter(entry.status for entry in compare(union([before]), union([after])))
    return {"added": count["A"], "removed": count["D"], "modified": count["M"]}
