"""The history that queries read: this machine's catalog, with the history of a store merged in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.stores import PathLike, opened, parse_stores
from snapdir.catalog.locations import store_location
from snapdir.config import Config
from snapdir.errors import CatalogError, LocalError, StoreError, TransferFailed
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.catalog.catalog import Catalog
    from snapdir.catalog.record import Record

NAMED_KEYS = 3


@asynccontextmanager
async def opened_catalog(config: Config, counters: Counters, *, needed: bool) -> AsyncIterator[Catalog]:
    """The catalog; in memory only without a catalog file, or if the file fails and is not ``needed``.

    Raises:
        CatalogError: it is ``needed``, and cannot be used.
    """
    from snapdir.catalog import exchange

    async with AsyncExitStack() as stack:
        try:
            catalog = await stack.enter_async_context(exchange.opened(config.catalog, reading=True))
        except CatalogError as error:
            if needed:
                raise
            counters.warnings.append(f"the local history cannot be used, only that of the store: {error}")
            catalog = await stack.enter_async_context(exchange.opened(None))
        yield catalog


@asynccontextmanager
async def merged_history(
    store: PathLike | None, config: Config, counters: Counters, *, needed: bool = False
) -> AsyncIterator[tuple[Catalog, Repository | None]]:
    """The catalog, with the history of a store merged in, and the store. One request if the store has nothing new.

    A store that cannot be read is a warning, and None, unless it is ``needed``.

    Raises:
        CatalogError: there is no catalog, or it cannot be read, and no store was named.
        StoreError, LocalError: the store is ``needed``, and cannot be read.
    """
    stores = await parse_stores(store)
    if config.catalog is None and stores.url is None:
        raise CatalogError("no catalog to read: set one with Config(catalog=...), or name a store")
    async with opened_catalog(config, counters, needed=stores.url is None) as catalog, AsyncExitStack() as stack:
        repository: Repository | None = None
        if stores.url is not None:
            location = store_location(stores.url)
            try:
                repository = await stack.enter_async_context(opened(stores, config))
                await merge(catalog, repository, location, counters)
            except (LocalError, StoreError, TransferFailed) as error:
                if needed:
                    raise
                counters.warnings.append(f"the history in {location} cannot be read, and is left out: {error}")
                repository = None
        yield catalog, repository


async def records_of_store(repository: Repository, location: str, config: Config, counters: Counters) -> list[Record]:
    """The records of a store, newest first. If the history in the store cannot be read, ``counters`` gets a warning.

    Args:
        location: The location of the store in the catalog.
    """
    async with opened_catalog(config, counters, needed=False) as catalog:
        try:
            await merge(catalog, repository, location, counters)
        except (LocalError, StoreError, TransferFailed) as error:
            counters.warnings.append(f"the history in {location} cannot be read, so notes are left out: {error}")
        return await anyio.to_thread.run_sync(catalog.records, (location,))


async def merge(catalog: Catalog, repository: Repository, location: str, counters: Counters) -> None:
    """Add the new records of a store's history to ``catalog``, in memory only if its file cannot be written.

    Raises:
        StoreError: the store cannot be read.
        CatalogError: the catalog cannot be read.
    """
    from snapdir.catalog.exchange import read_history

    try:
        skipped = await read_history(catalog, repository.store, location)
    except CatalogError:
        await anyio.to_thread.run_sync(catalog.move_to_memory)
        skipped = await read_history(catalog, repository.store, location)
    if skipped:
        shown = ", ".join(skipped[:NAMED_KEYS]) + (", ..." if skipped[NAMED_KEYS:] else "")
        counters.warnings.append(
            f"{len(skipped)} record(s) in the history of {location} are damaged or of an unknown format, and left out:"
            f" {shown}"
        )
