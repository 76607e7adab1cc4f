"""Many small objects into any store: in batches where the store has them, else by one write each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.to_thread

from snapdir.errors import LocalError, StoreError
from snapdir.stores.base import BatchWriter, Buffer, Store

__all__ = ["published", "put_small"]


@asynccontextmanager
async def published(batch: BatchWriter | None) -> AsyncIterator[None]:
    """Name what the block puts into ``batch``, also when it fails or is cancelled: the next run finds those objects."""
    try:
        yield
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(StoreError, LocalError):
            await _publish(batch)
        raise
    await _publish(batch)


async def put_small(store: Store, batch: BatchWriter | None, key: str, data: Buffer) -> None:
    """Store ``data`` at ``key``, replacing what is there; in ``batch``, the store's own, if it has one."""
    if batch is None:
        await store.write(key, data)
    else:
        await anyio.to_thread.run_sync(partial(batch.put, key, data, replace=True))


async def _publish(batch: BatchWriter | None) -> None:
    if batch is not None:
        await anyio.to_thread.run_sync(batch.publish)
