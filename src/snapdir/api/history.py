"""What the catalog knows: locations, revisions, ancestors, descendants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from snapdir.api.naming import full_id
from snapdir.catalog.lineage import Relation
from snapdir.catalog.lineage import ancestors as walk_back
from snapdir.catalog.lineage import descendants as walk_on
from snapdir.catalog.places import locations_meant, store_location
from snapdir.catalog.record import Record
from snapdir.config import Config
from snapdir.errors import CatalogError

if TYPE_CHECKING:
    from snapdir.catalog.catalog import Catalog

__all__ = ["Lineage", "ancestors", "descendants", "lineage", "locations", "revisions"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a snapshot came from, or what came from it.

    Attributes:
        focus: The snapshot that was asked for.
        backward: Whether ``relations`` lead to ancestors; else to descendants.
        relations: Nearest first.
        records: What is written down of ``focus`` and its relations, newest first.
    """

    focus: str
    backward: bool
    relations: list[Relation]
    records: list[Record]


async def locations(
    *,
    location: str | None = None,
    snapshot_id: str | None = None,
    store: str | None = None,
    config: Config | None = None,
) -> list[Record]:
    """The latest record of each location, in the order of the locations' bytes.

    Args:
        location: Only this one: a store's URL, or a path, which means that directory and the store in it.
        snapshot_id: Only where this is the latest snapshot.
        store: Only this store.

    Raises:
        CatalogError: there is no catalog, or it cannot be read.
    """
    config = config or Config()
    identifier = None if snapshot_id is None else await full_id(snapshot_id, config)

    def question(catalog: Catalog) -> list[Record]:
        wanted = None if location is None else locations_meant(location)
        only_store = None if store is None else store_location(store)
        return [
            record
            for record in catalog.latest_by_location()
            if (wanted is None or record.location in wanted)
            and only_store in (None, record.location)
            and identifier in (None, record.id)
        ]

    return await _ask(config, question)


async def revisions(location: str, *, snapshot_id: str | None = None, config: Config | None = None) -> list[Record]:
    """What a location held, newest first.

    Args:
        location: As for ``locations``.
        snapshot_id: Only the records of this snapshot.

    Raises:
        CatalogError: there is no catalog, or it cannot be read.
    """
    config = config or Config()
    identifier = None if snapshot_id is None else await full_id(snapshot_id, config)
    return await _ask(config, lambda catalog: catalog.records(locations_meant(location), snapshot_id=identifier))


async def ancestors(
    snapshot_id: str, *, depth: int | None = None, location: str | None = None, config: Config | None = None
) -> list[Relation]:
    """What a snapshot came from: by history, what was at its location before; and what it was derived from.

    The whole chain, nearest first; steps that would lead back are left out.

    Args:
        depth: Steps to go at most; None goes to the end.
        location: Only what was recorded there; as for ``locations``.

    Raises:
        CatalogError: there is no catalog, or it cannot be read.
    """
    found = await lineage(snapshot_id, backward=True, depth=depth, location=location, config=config)
    return found.relations


async def descendants(
    snapshot_id: str, *, depth: int | None = None, location: str | None = None, config: Config | None = None
) -> list[Relation]:
    """What came from a snapshot; otherwise as ``ancestors``."""
    found = await lineage(snapshot_id, backward=False, depth=depth, location=location, config=config)
    return found.relations


async def lineage(
    snapshot_id: str,
    *,
    backward: bool,
    depth: int | None = None,
    location: str | None = None,
    config: Config | None = None,
) -> Lineage:
    """``ancestors`` (``backward``) or ``descendants``, with the records that tell more about them."""
    config = config or Config()
    identifier = await full_id(snapshot_id, config)

    def question(catalog: Catalog) -> Lineage:
        records = catalog.records_above(identifier) if backward else catalog.records_below(identifier)
        if location is not None:
            wanted = locations_meant(location)
            records = [record for record in records if record.location in wanted]
        walk = walk_back if backward else walk_on
        return Lineage(str(identifier), backward, walk(records, identifier, depth=depth), records)

    return await _ask(config, question)


async def _ask(config: Config, question: Callable[[Catalog], T]) -> T:
    if config.catalog is None:
        raise CatalogError("no catalog was chosen: give its file, as Config(catalog=...)")
    return await anyio.to_thread.run_sync(_answer, config.catalog, question)


def _answer(file: Path, question: Callable[[Catalog], T]) -> T:
    from snapdir.catalog.catalog import Catalog

    with Catalog(file) as catalog:
        return question(catalog)
