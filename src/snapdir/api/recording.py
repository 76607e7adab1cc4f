"""The steps after a complete snapshot: announce its id, record it, and remember it for ``status``."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio.to_thread

from snapdir.api.stores import PathLike, StorePair, local_path
from snapdir.config import Config
from snapdir.errors import CatalogError, InvalidOption, LocalError, SnapdirError, StoreError
from snapdir.model.digest import SnapshotId
from snapdir.stores.base import Store
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.catalog.record import Event, Provenance
    from snapdir.disk.directory_record import Source
    from snapdir.transfer.tree_options import TreeOptions

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
    derived_from: Sequence[str] | None,
    note: str | None,
    labels: Mapping[str, str] | None,
    stores: StorePair,
    unchecked: bool = False,
) -> Publication[str]:
    """The publication of a snapshot with its provenance, which is checked before any work.

    Args:
        derived_from, unchecked: See ``resolve_sources``, which also says what it raises.
        stores: Where the snapshot goes to; none for the cache.

    Raises:
        InvalidOption: neither a catalog nor a store can keep the provenance.
        CatalogError: it is more or longer than a record holds.
    """
    if not derived_from and note is None and not labels:
        return Publication(config, counters, announce)
    if config.catalog is None and not (keeps_history(stores) and config.shared_catalog):
        raise InvalidOption(NOT_KEPT)
    from snapdir.catalog.record import Provenance

    sources: tuple[SnapshotId, ...] = ()
    if derived_from:
        from snapdir.api.known_ids import resolve_sources

        sources = await resolve_sources(derived_from, stores, config, counters, unchecked=unchecked)
    provenance = Provenance(sources, note, tuple((labels or {}).items()))
    return Publication(config, counters, announce, provenance)


def keeps_history(stores: StorePair) -> bool:
    """Whether there is a store, and it can hold a history of its own."""
    return stores.url is not None and stores.program is None


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
        """Announce the result, then record the snapshot in ``config.catalog``, if there is one, and in ``store``.

        A catalog or a store that fails is a warning: the snapshot itself is complete.

        Args:
            store: Where it was pushed to; it gets a record unless ``config.shared_catalog`` is off.
        """
        await self.tell(result)
        shared = store if self.config.shared_catalog else None
        if self.config.catalog is None and shared is None:
            return

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


async def remember(
    path: PathLike, snapshot_id: str, source: Source, *, options: TreeOptions, stores: StorePair, config: Config
) -> None:
    """Note in the cache what a directory was when it was pushed or staged. Without a usable cache nothing is noted."""

    def write() -> None:
        from snapdir.disk.directory_record import DirectoryRecord, write_record

        store, pool = (None if url is None else url.without_credentials for url in stores)
        record = DirectoryRecord(
            directory=os.path.realpath(local_path(path)),
            snapshot_id=snapshot_id,
            store=store,
            objects_store=pool,
            include=(),
            exclude=(),
            shard=None,
            recorded_at=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
            source=source,
            excluded=options.excluded.patterns if options.excluded is not None else (),
            ignored=options.ignored.rules if options.ignored is not None else (),
            follow=options.follow,
            dereference=options.dereference,
            is_link=os.path.islink(local_path(path).rstrip("/")),
        )
        with suppress(OSError):
            write_record(config.cache_dir, record, fsync=False)

    await anyio.to_thread.run_sync(write)
