"""What happens once a snapshot is complete: whoever waits for it is told, then the history is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import anyio.to_thread

from snapdir.api.naming import full_id
from snapdir.catalog.record import Event, Provenance, Record
from snapdir.config import Config
from snapdir.errors import CatalogError
from snapdir.transfer.events import Counters

__all__ = ["Publication", "provenance_of"]

T = TypeVar("T")


async def provenance_of(
    derived_from: Sequence[str], note: str | None, labels: Mapping[str, str] | None, config: Config
) -> Provenance:
    """The arguments of that name, looked at before any work. Ids may be the first digits of one that is cached.

    Raises:
        InvalidId, UnknownId, AmbiguousId: a source is no id.
        CatalogError: more or longer than a record holds.
    """
    if isinstance(derived_from, str):
        raise TypeError("derived_from is a sequence of ids, not one str")
    sources = [str(await full_id(source, config)) for source in derived_from]
    return Provenance(tuple(dict.fromkeys(sources)), note, tuple((labels or {}).items()))


@dataclass(frozen=True, slots=True)
class Publication(Generic[T]):
    """Tells the result of one verb, and writes its snapshot down.

    Attributes:
        announce: Called once with the result, in a thread, before anything is written down.
    """

    config: Config
    counters: Counters
    announce: Callable[[T], None] | None = None
    provenance: Provenance | None = None

    async def tell(self, result: T) -> None:
        """Only tell it: nothing was stored, or nothing is to be written down."""
        if self.announce is not None:
            await anyio.to_thread.run_sync(self.announce, result)

    async def complete(self, result: T, event: Event, snapshot_id: str, location: str) -> Record | None:
        """Tell the result, then note the snapshot in the catalog, if there is one, and return the new record.

        A catalog that fails is a warning: the snapshot is where it belongs.
        """
        await self.tell(result)
        if self.config.catalog is None:
            if self.provenance:
                self.counters.warnings.append(
                    "what it is derived from, note and labels are not kept: there is no catalog"
                )
            return None
        note = partial(_note, self.config.catalog, event, snapshot_id, location, self.provenance)
        try:
            return await anyio.to_thread.run_sync(note)
        except CatalogError as error:
            self.counters.warnings.append(f"{snapshot_id} is complete, but not in the history: {error}")
            return None


def _note(file: Path, event: Event, snapshot_id: str, location: str, provenance: Provenance | None) -> Record | None:
    from snapdir.catalog.catalog import Catalog

    with Catalog(file) as catalog:
        return catalog.record(event, snapshot_id, location, provenance=provenance)
