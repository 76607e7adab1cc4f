"""From a URL to an open store; each kind is imported when one is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from snapdir.disk.descriptors import share_of_descriptors
from snapdir.errors import InvalidStore
from snapdir.stores.base import Store
from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS, UNLIMITED, StoreSettings
from snapdir.stores.urls import StoreURL

if TYPE_CHECKING:
    from snapdir.stores.request_window import RequestWindow

__all__ = ["open_store"]

OPENED_HERE = ("file", "s3", "b2")
NOT_YET = ("gs",)


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
    allowed = await run_sync(share_of_descriptors, UNLIMITED)
    store = await _store(url, replace(settings, requests_limit=min(allowed, settings.requests_limit)))
    try:
        yield store
    finally:
        await store.aclose()


async def _store(url: StoreURL, settings: StoreSettings) -> Store:
    if url.scheme == "file":
        from snapdir.stores.file.store import FileStore

        return FileStore(url.path, settings)
    from snapdir.stores.retrying import RetryingStore
    from snapdir.stores.s3.store import S3Store

    store = await S3Store.open(url, settings)
    settings = settings.with_attempts(store.configured_attempts)
    # Retries outside: a call that waits to be tried again holds no place among those in flight.
    return RetryingStore(_limited(store, settings), settings.retry, dead_after_seconds=settings.dead_after_seconds)


def _limited(store: Store, settings: StoreSettings) -> Store:
    from snapdir.stores.limiting import LimitingStore, TokenBucket

    def bucket(rate_per_second: float | None) -> TokenBucket | None:
        return TokenBucket(rate_per_second) if rate_per_second else None

    return LimitingStore(
        store,
        _window(store, settings),
        bytes_bucket=bucket(settings.limit_rate_bytes),
        requests_bucket=bucket(settings.max_requests_per_second),
    )


def _window(store: Store, settings: StoreSettings) -> RequestWindow:
    """A number of requests that was asked for is kept from the start; otherwise it is found."""
    from snapdir.stores.request_window import RequestWindow

    most = store.capabilities.max_concurrency
    wanted = min(settings.max_concurrency, most)
    if settings.adaptive is not None:
        return RequestWindow(wanted or min(most, MAX_ADAPTIVE_REQUESTS), share=settings.adaptive)
    return RequestWindow(wanted, start=wanted) if wanted else RequestWindow(most)


def _why_not(url: StoreURL) -> str:
    if url.scheme in NOT_YET:
        return f"{url}: this release cannot open {url.scheme}:// stores yet; use file://, s3:// or b2://"
    return (
        f"{url}: {url.scheme}:// is no store of snapdir's own; a program snapdir-{url.scheme}-store can serve"
        " push, fetch, pull and verify, but not this; use file://, s3:// or b2://"
    )
