"""Exchange between this machine's catalog and the history of a store, in both directions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio.to_thread
from anyio import CancelScope

from snapdir.catalog.catalog import Catalog
from snapdir.catalog.record import Event, Provenance, Record
from snapdir.catalog.shared import SharedHistory, write_record
from snapdir.errors import LocalError, StoreError
from snapdir.stores.base import Store


@asynccontextmanager
async def opened(file: Path | None, *, reading: bool = False) -> AsyncIterator[Catalog]:
    """A catalog, opened and closed in threads.

    Args:
        reading: See ``Catalog``.

    Raises:
        CatalogError: it cannot be used.
    """
    catalog = await anyio.to_thread.run_sync(partial(Catalog, file, reading=reading))
    try:
        yield catalog
    finally:
        with CancelScope(shield=True):
            await anyio.to_thread.run_sync(catalog.close)


async def read_history(catalog: Catalog, store: Store, location: str) -> list[str]:
    """Add every new record of a store to the catalog.

    Args:
        location: The location of the store in the catalog.

    Returns:
        Keys below ``.catalog/`` without a valid record: they were skipped.

    Raises:
        StoreError, CatalogError: the store, or the catalog, fails.
    Cost: see ``SharedHistory.new_records``.
    """
    known = await anyio.to_thread.run_sync(catalog.record_ids, location)
    position = await anyio.to_thread.run_sync(catalog.mark, _mark(location))
    history = SharedHistory(store, location, known=known, position=position or "")
    async for batch in history.new_records():
        await anyio.to_thread.run_sync(catalog.add_foreign, batch)
    await anyio.to_thread.run_sync(catalog.set_mark, _mark(location), history.position)
    return history.skipped


async def note(
    catalog: Catalog,
    event: Event,
    snapshot_id: str,
    location: str,
    *,
    provenance: Provenance | None = None,
    shared: Store | None = None,
) -> None:
    """Note an event in the catalog, and in the history of its store.

    Args:
        shared: The store, whose newest record is read first, so that the new one follows it.

    Raises:
        StoreError, LocalError: the store's history cannot be written; the record is in the catalog.
        CatalogError: the catalog cannot be read or written.
    Cost: no request if the snapshot is the latest there in the catalog and ``provenance`` is empty; else
        ``SharedHistory.newest``, and a write.
    """
    if shared is not None:
        latest = await anyio.to_thread.run_sync(catalog.latest, location)
        if latest is not None and latest.id == snapshot_id and not provenance:
            return
        await _learn_newest(catalog, shared, location, latest)
    record = partial(catalog.record, event, snapshot_id, location, provenance=provenance)
    made = await anyio.to_thread.run_sync(record)
    if made is not None and shared is not None:
        await write_record(shared, made)


async def _learn_newest(catalog: Catalog, store: Store, location: str, latest: Record | None) -> None:
    position = await anyio.to_thread.run_sync(catalog.mark, _mark(location))
    known = {latest.record_id} if latest else ()
    history = SharedHistory(store, location, known=known, position=position or "")
    try:
        newest = await history.newest(since=latest.created_at if latest else "")
    except (LocalError, StoreError):
        return  # without a right to list, the record follows the latest one in the catalog
    if newest is not None:
        await anyio.to_thread.run_sync(catalog.add_foreign, [newest])


def _mark(location: str) -> str:
    """The name of the mark for the position in a store's history."""
    return f"shared history of {location}"
