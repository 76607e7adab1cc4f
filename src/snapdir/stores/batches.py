"""Write many small objects: in batches if the store supports them, else with one request each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.to_thread

from snapdir.errors import LocalError, StoreError
from snapdir.stores.base import BatchWriter, Buffer, Store


@asynccontextmanager
async def flushing(batch: BatchWriter | None) -> AsyncIterator[None]:
    """Publish what the block puts into ``batch``, also if the block fails or is cancelled: a later run can use it."""
    try:
        yield
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(StoreError, LocalError):
            await _publish(batch)
        raise
    await _publish(batch)


async def put_small(store: Store, batch: BatchWriter | None, key: str, data: Buffer) -> None:
    """Store ``data`` at ``key``, replacing any object there, with the store's batch writer if it has one."""
    if batch is None:
        await store.write(key, data)
    else:
        await anyio.to_thread.run_sync(partial(batch.put, key, data, replace=True))


async def _publish(batch: BatchWriter | None) -> None:
    if batch is not None:
        await anyio.to_thread.run_sync(batch.publish)
