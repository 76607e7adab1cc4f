"""The steps after a complete snapshot: announce its id, then record it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio.to_thread

from snapdir.api.resolve import full_id
from snapdir.config import Config
from snapdir.errors import CatalogError, InvalidOption, LocalError, SnapdirError, StoreError
from snapdir.stores.base import Store
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.catalog.record import Event, Provenance

T = TypeVar("T")

NOT_KEPT = (
    "derived_from, note and labels cannot be recorded without a catalog: choose one with --catalog (in Python: "
    'Config().with_options(catalog="default")); a push into a file or S3 store can also record them there, unless '
    "shared_catalog is off (--no-shared-catalog)"
)


async def publication_of(
    config: Config,
    counters: Counters,
    announce: Callable[[str], None] | None,
    *,
    derived_from: Sequence[str],
    note: str | None,
    labels: Mapping[str, str] | None,
    store_keeps: bool,
) -> Publication[str]:
    """The publication of a snapshot with its provenance, which is checked before any work.

    Args:
        derived_from: Ids, or the first digits of ids that are in the cache or the catalog.
        store_keeps: The snapshot goes into a store that can hold a history of its own.

    Raises:
        InvalidId, UnknownId, AmbiguousId: a source is not an id.
        InvalidOption: neither a catalog nor a store can keep the provenance.
        CatalogError: it is more or longer than a record holds.
    """
    if isinstance(derived_from, str):
        raise TypeError("derived_from is a sequence of ids, not one str")
    if not derived_from and note is None and not labels:
        return Publication(config, counters, announce)
    if config.catalog is None and not (store_keeps and config.shared_catalog):
        raise InvalidOption(NOT_KEPT)
    from snapdir.catalog.record import Provenance

    sources = [str(await full_id(source, config)) for source in derived_from]
    provenance = Provenance(tuple(dict.fromkeys(sources)), note, tuple((labels or {}).items()))
    return Publication(config, counters, announce, provenance)


@dataclass(frozen=True, slots=True)
class Publication(Generic[T]):
    """Announces the result of one verb, and records its snapshot.

    Attributes:
        announce: Called once with the result, in a thread, before anything is recorded.
    """

    config: Config
    counters: Counters
    announce: Callable[[T], None] | None = None
    provenance: Provenance | None = None

    async def tell(self, result: T) -> None:
        """Announce the result without a record: nothing was stored, or nothing is recorded."""
        if self.announce is not None:
            await anyio.to_thread.run_sync(self.announce, result)

    async def complete(
        self, result: T, event: Event, snapshot_id: str, location: str, *, store: Store | None = None
    ) -> None:
        """Announce the result, then record the snapshot in the catalog, if there is one, and in ``store``.

        Without a catalog only a provenance is recorded, in the store. A catalog or a store that fails is a warning: the
        snapshot itself is complete.

        Args:
            store: Where it was pushed to; it gets a record too, unless ``config.shared_catalog`` is off.
        """
        await self.tell(result)
        if self.config.catalog is None and not self.provenance:
            return
        shared = store if self.config.shared_catalog else None

        async def note(file: Path | None) -> None:
            from snapdir.catalog import exchange

            async with exchange.opened(file) as catalog:
                await exchange.note(catalog, event, snapshot_id, location, provenance=self.provenance, shared=shared)

        try:
            await note(self.config.catalog)
        except CatalogError as error:
            self.counters.warnings.append(f"{snapshot_id} is stored, but not recorded in the local history: {error}")
            if shared is not None:
                await self._note_in_store(note)
        except (LocalError, StoreError) as error:
            self._warn_of_store(error)

    async def _note_in_store(self, note: Callable[[Path | None], Awaitable[None]]) -> None:
        """A failure of this machine's catalog does not affect the history of the store."""
        try:
            await note(None)
        except (CatalogError, LocalError, StoreError) as error:
            self._warn_of_store(error)

    def _warn_of_store(self, error: SnapdirError) -> None:
        self.counters.warnings.append(
            f"the snapshot is stored, but not recorded in the store's history: {error}; use --no-shared-catalog to"
            " skip the record"
        )
