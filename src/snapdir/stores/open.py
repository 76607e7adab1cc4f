"""From a URL to an open store; each kind is imported when one is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from snapdir.errors import InvalidStore
from snapdir.stores.base import Store
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL

__all__ = ["open_store"]

OPENED_HERE = ("file", "s3", "b2")
NOT_YET = ("gs", "ssh", "sftp")


def open_store(url: str | StoreURL, settings: StoreSettings | None = None) -> AbstractAsyncContextManager[Store]:
    """A store, open within an ``async with`` block. A remote one retries what may pass.

    Raises:
        InvalidStore: not a store URL, or one that this release cannot open; at once, before the block.
        InvalidOption: a variable or AWS profile that the store is opened by has a bad value.
    """
    parsed = url if isinstance(url, StoreURL) else StoreURL.parse(url)
    if parsed.scheme not in OPENED_HERE:
        raise InvalidStore(_why_not(parsed))
    return _opened(parsed, settings or StoreSettings())


@asynccontextmanager
async def _opened(url: StoreURL, settings: StoreSettings) -> AsyncIterator[Store]:
    store = await _store(url, settings)
    try:
        yield store
    finally:
        await store.aclose()


async def _store(url: StoreURL, settings: StoreSettings) -> Store:
    if url.scheme == "file":
        from snapdir.stores.file import FileStore

        return FileStore(url.path, settings)
    from snapdir.stores.retrying import RetryingStore
    from snapdir.stores.s3.store import S3Store

    return RetryingStore(await S3Store.open(url, settings), settings.retry)


def _why_not(url: StoreURL) -> str:
    if url.scheme in NOT_YET:
        return f"{url}: this release cannot open {url.scheme}:// stores yet; use file://, s3:// or b2://"
    return (
        f'unknown store scheme "{url.scheme}": use file://, s3:// or b2://; any other needs a program '
        f"snapdir-{url.scheme}-store, and this release does not run such programs yet"
    )
