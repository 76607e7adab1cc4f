"""All that is known about a store, as one value: report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from snapdir.api.merging import records_of_store
from snapdir.api.resolve import whole_store
from snapdir.api.stores import PathLike, StorePair, opened
from snapdir.api.tag import names_of_snapshots
from snapdir.catalog.graph import Edge, Graph, Node, history_graph
from snapdir.catalog.locations import store_location
from snapdir.catalog.record import timestamp
from snapdir.config import Config
from snapdir.errors import SnapdirError, TransferFailed
from snapdir.model.arguments import checked
from snapdir.transfer.comparing.neighbours import Neighbour, SnapshotChanges, compare_neighbours
from snapdir.transfer.comparing.sizes import SizeStats
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.repository.repository import Published

MAX_LISTED = 100
"""Changes of one snapshot that are listed."""

MAX_LISTED_IN_ALL = 10_000
"""Of all snapshots together, about: a store of more than 100 snapshots lists fewer of each."""

MIN_LISTED = 5
"""Of one snapshot, however many there are."""


@dataclass(frozen=True, slots=True)
class ReportedSnapshot:
    """A snapshot of a store.

    Attributes:
        created_at: When it was first recorded, or else stored (UTC, ``YYYY-MM-DD HH:MM:SS.mmm``); empty if neither is
            known.
        names: Of the store, that stand for it.
        files, size_bytes: Number and bytes of its files; None, like the next two, if its manifest cannot be read.
        new_bytes: Bytes of contents that no earlier snapshot of the store has, each counted once.
        changes: What changed since the snapshot before it in the store.
    """

    id: str
    created_at: str
    note: str | None
    labels: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    files: int | None = None
    size_bytes: int | None = None
    new_bytes: int | None = None
    changes: SnapshotChanges | None = None


@dataclass(frozen=True, slots=True)
class StoreReport:
    """A store at one moment.

    Attributes:
        store: Its URL, without credentials.
        created_at: When the report was made (UTC).
        snapshots: Newest first.
        total: Files and bytes of all snapshots whose manifests can be read.
        relations: The lineage of the snapshots. An ``earlier`` one may be in another store, or nowhere.
        unreadable: The error about each manifest that cannot be read, with its id.
    """

    store: str
    created_at: str
    snapshots: tuple[ReportedSnapshot, ...]
    total: SizeStats
    relations: tuple[Edge, ...]
    unreadable: tuple[tuple[str, SnapdirError], ...]

    def require_sound(self) -> None:
        """
        Raises:
            CorruptManifest, InvalidManifest, ManifestNotFound: a manifest cannot be read; TransferFailed for several.
        """
        errors = [error for _, error in self.unreadable]
        if errors:
            raise errors[0] if len(errors) == 1 else TransferFailed(f"read the manifests of {self.store}", errors)


@checked
async def report(store: PathLike, *, config: Config | None = None, counters: Counters | None = None) -> StoreReport:
    """The snapshots of a store with their notes, labels and names, sizes, lineage, and the changes of each.

    A manifest that cannot be read is in ``unreadable``; its snapshot is listed without sizes. Without a history (see
    ``log``) there are no notes and no lineage. If the history or the names cannot be read, ``counters`` gets a warning.
    Of the changes of a snapshot, the first 100 are listed; of a store with many snapshots, fewer.

    Raises:
        InvalidStore: ``store`` is not the URL of a store.
        StoreError: the store cannot be read.
    Cost: a request for each 1,000 snapshots, and one for each snapshot, each name and each new record. Memory: one size
        for each distinct content.
    """
    from snapdir.transfer.comparing.manifests import published_by_date

    config, counters = config or Config(), counters or Counters()
    url = await whole_store(store)
    location = store_location(url)
    async with opened(StorePair(url), config) as source:
        published = await published_by_date(source)
        graph = history_graph(await records_of_store(source, location, config, counters))
        names = await names_of_snapshots(source, counters)
        about = {node.id: node for node in graph.nodes}
        published.sort(key=lambda each: _moment(each, about))
        max_listed = max(MIN_LISTED, min(MAX_LISTED, MAX_LISTED_IN_ALL // max(len(published), 1)))
        compared = await compare_neighbours(source, published, limits=config.limits, max_listed=max_listed)
    snapshots = [_snapshot(each, about, compared.snapshots, names) for each in reversed(published)]
    relations = _relations(graph, {each.id for each in snapshots})
    unreadable = tuple(compared.unreadable.items())
    return StoreReport(location, timestamp(datetime.now(UTC)), tuple(snapshots), compared.total, relations, unreadable)


def _moment(published: Published, about: Mapping[str, Node]) -> str:
    """When a snapshot was first recorded, or else stored."""
    node = about.get(published.snapshot_id)
    if node is not None and node.created_at:
        return node.created_at
    seconds = published.stored_seconds
    return "" if seconds is None else timestamp(datetime.fromtimestamp(seconds, UTC))


def _snapshot(
    published: Published,
    about: Mapping[str, Node],
    compared: Mapping[str, Neighbour],
    names: Mapping[str, Sequence[str]],
) -> ReportedSnapshot:
    identifier = str(published.snapshot_id)
    node = about.get(identifier, Node(identifier))
    known = ReportedSnapshot(
        identifier, _moment(published, about), node.note, node.labels, tuple(names.get(identifier, ()))
    )
    if (found := compared.get(identifier)) is None:
        return known
    return replace(
        known, files=found.files, size_bytes=found.size_bytes, new_bytes=found.new_bytes, changes=found.changes
    )


def _relations(graph: Graph, present: Iterable[str]) -> tuple[Edge, ...]:
    """The relations that lead to snapshots which the store has."""
    known = set(present)
    return tuple(edge for edge in graph.edges if edge.later in known)
