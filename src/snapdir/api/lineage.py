"""Queries of the history: locations, revisions, ancestors, descendants, lineage.

They read this machine's catalog, and if a store is named, the records that travel with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.known_ids import require_known
from snapdir.api.merging import merged_history
from snapdir.api.resolve import full_id, id_here
from snapdir.api.stores import PathLike, parse_stores, require_existing
from snapdir.catalog.lineage import Relation
from snapdir.catalog.lineage import ancestors as walk_back
from snapdir.catalog.lineage import descendants as walk_on
from snapdir.catalog.locations import possible_locations, store_location
from snapdir.catalog.record import Record
from snapdir.config import Config
from snapdir.model.arguments import checked
from snapdir.model.digest import SnapshotId
from snapdir.model.tags import is_name
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.catalog.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Lineage:
    """The ancestors or the descendants of a snapshot.

    Attributes:
        focus: The snapshot.
        backward: Whether ``relations`` lead to ancestors; else to descendants.
        relations: Nearest first.
        records: All records of ``focus`` and its relations, newest first.
    """

    focus: str
    backward: bool
    relations: list[Relation]
    records: list[Record]


@checked
async def locations(
    *,
    location: PathLike | None = None,
    snapshot_id: str | None = None,
    store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> list[Record]:
    """The latest record of each location, in the order of the locations' bytes.

    Args:
        location: Only this one: the URL of a store, or a path, which stands for the directory and for a store in it.
        snapshot_id: Only locations whose latest snapshot is this one.
        store: Only this store.

    Raises:
        CatalogError: ``config`` has no catalog, or it cannot be read.
    """
    config = config or Config()
    stores = await parse_stores(store)
    url = stores.url
    identifier = None if snapshot_id is None else await id_here(stores, snapshot_id, config, counters)

    def select(catalog: Catalog) -> list[Record]:
        places = None if location is None else possible_locations(location)
        only_store = None if url is None else store_location(url)
        return [
            record
            for record in catalog.latest_by_location()
            if (places is None or record.location in places)
            and only_store in (None, record.location)
            and identifier in (None, record.id)
        ]

    async with merged_history(None, config, Counters()) as (catalog, _):
        return await anyio.to_thread.run_sync(select, catalog)


@checked
async def revisions(
    location: PathLike,
    *,
    snapshot_id: str | None = None,
    store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> list[Record]:
    """The snapshots recorded at a location, newest first.

    Args:
        location: As for ``locations``.
        snapshot_id: Only the records of this snapshot.
        store: Read the history of this store too. If that fails, ``counters`` gets a warning.

    Raises:
        CatalogError: ``config`` has no catalog, or it cannot be read, and no store was named.
        StoreMissing: nothing is recorded, and the store does not exist.
    """
    config, counters = config or Config(), counters or Counters()
    needed = snapshot_id is not None and is_name(snapshot_id)
    async with merged_history(store, config, counters, needed=needed) as (catalog, source):
        identifier = None if snapshot_id is None else await full_id(snapshot_id, config, source, counters=counters)
        records = await anyio.to_thread.run_sync(
            lambda: catalog.records(possible_locations(location), snapshot_id=identifier)
        )
    if not records and store is not None and (stores := await parse_stores(store)).program is None:
        await require_existing(stores, config)
    return records


@checked
async def ancestors(
    snapshot_id: str,
    *,
    derived: bool = False,
    depth: int | None = None,
    location: PathLike | None = None,
    store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> list[Relation]:
    """All ancestors of a snapshot, nearest first: earlier snapshots at its location, and those it was derived from.

    Args:
        derived: Only the snapshots that it was derived from, and those that they were derived from.
        depth: Follow at most this many steps; None follows all.
        location: Only records of this location; as for ``locations``.
        store: Read the history of this store too. If that fails, ``counters`` gets a warning.

    Raises:
        CatalogError: ``config`` has no catalog, or it cannot be read, and no store was named.
        UnknownId: no snapshot with this id is known on this machine or to the store.
    Cost: one request for a store that has nothing new, and one for each new record.
    """
    result = await lineage(
        snapshot_id,
        backward=True,
        derived=derived,
        depth=depth,
        location=location,
        store=store,
        config=config,
        counters=counters,
    )
    return result.relations


@checked
async def descendants(
    snapshot_id: str,
    *,
    derived: bool = False,
    depth: int | None = None,
    location: PathLike | None = None,
    store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> list[Relation]:
    """All descendants of a snapshot, nearest first. Arguments and errors as for ``ancestors``."""
    result = await lineage(
        snapshot_id,
        backward=False,
        derived=derived,
        depth=depth,
        location=location,
        store=store,
        config=config,
        counters=counters,
    )
    return result.relations


@checked
async def lineage(
    snapshot_id: str,
    *,
    backward: bool,
    derived: bool = False,
    depth: int | None = None,
    location: PathLike | None = None,
    store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Lineage:
    """``ancestors`` (``backward``) or ``descendants``, with their records."""
    config, counters = config or Config(), counters or Counters()

    def trace(catalog: Catalog, identifier: SnapshotId) -> tuple[Lineage, bool]:
        records = catalog.records_above(identifier) if backward else catalog.records_below(identifier)
        if location is not None:
            places = possible_locations(location)
            records = [record for record in records if record.location in places]
        walk = walk_back if backward else walk_on
        relations = walk(records, identifier, depth=depth, derived=derived)
        if derived:
            related = {identifier, *(relation.id for relation in relations)}
            records = [record for record in records if record.id in related]
        return Lineage(identifier, backward, relations, records), catalog.mentions(identifier)

    async with merged_history(store, config, counters, needed=is_name(snapshot_id)) as (catalog, source):
        identifier = await full_id(snapshot_id, config, source, counters=counters)
        found, is_mentioned = await anyio.to_thread.run_sync(trace, catalog, identifier)
        if not is_mentioned:
            await require_known(identifier, source, config)
    return found
