"""Open a store from its URL. Each kind of store is imported when one is opened."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from snapdir.disk.descriptors import share_of_descriptors
from snapdir.errors import InvalidStore
from snapdir.stores.base import Store
from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS, UNLIMITED, StoreSettings
from snapdir.stores.urls import BUILT_IN, PLANNED, StoreURL

if TYPE_CHECKING:
    from snapdir.stores.concurrency import ConcurrencyLimit


def open_store(url: str | StoreURL, settings: StoreSettings | None = None) -> AbstractAsyncContextManager[Store]:
    """A store, open within an ``async with`` block. A store across a network has limits and retries.

    Raises:
        InvalidStore: Not the URL of a store that this release can open; raised at once, before the block.
        InvalidOption: An environment variable or AWS profile of the store has a bad value.
    """
    parsed = url if isinstance(url, StoreURL) else StoreURL.parse(url)
    if parsed.scheme not in BUILT_IN:
        raise InvalidStore(_why_not(parsed))
    return _Opening(parsed, settings or StoreSettings())


class _Opening(AbstractAsyncContextManager[Store]):
    """Not a generator: the loop closes those that a program leaves open, the outer ones before the inner ones."""

    def __init__(self, url: StoreURL, settings: StoreSettings) -> None:
        self._url = url
        self._settings = settings
        self._store: Store | None = None

    async def __aenter__(self) -> Store:
        allowed = await run_sync(share_of_descriptors, UNLIMITED, self._settings.max_open_files)
        settings = replace(self._settings, requests_limit=min(allowed, self._settings.requests_limit))
        self._store = await _store(self._url, settings)
        return self._store

    async def __aexit__(self, *_: object) -> None:
        if self._store is not None:
            await self._store.aclose()


async def _store(url: StoreURL, settings: StoreSettings) -> Store:
    if url.scheme == "file":
        from snapdir.stores.file.store import FileStore

        return FileStore(url.path, settings)
    from snapdir.stores.rate import AdaptiveRate, RateLimit
    from snapdir.stores.remote import RemoteStore
    from snapdir.stores.retry import Retries
    from snapdir.stores.s3.store import S3Store

    store = await S3Store.open(url, settings)
    settings = settings.with_attempts(store.configured_attempts)
    return RemoteStore(
        store,
        Retries(settings.retry, settings.attempt_seconds),
        concurrency=_concurrency(store, settings),
        rate=AdaptiveRate(settings.max_requests_per_second or math.inf),
        byte_rate=RateLimit(settings.limit_rate_bytes or math.inf),
    )


def _concurrency(store: Store, settings: StoreSettings) -> ConcurrencyLimit:
    """A number of requests that was chosen holds from the start; otherwise it adapts."""
    from snapdir.stores.concurrency import ConcurrencyLimit

    max_concurrency = store.capabilities.max_concurrency
    chosen = min(settings.max_concurrency, max_concurrency)
    if settings.adaptive is not None:
        return ConcurrencyLimit(chosen or min(max_concurrency, MAX_ADAPTIVE_REQUESTS), share=settings.adaptive)
    return ConcurrencyLimit(chosen, start=chosen) if chosen else ConcurrencyLimit(max_concurrency)


def _why_not(url: StoreURL) -> str:
    if url.scheme in PLANNED:
        return f"{url}: this release cannot open {url.scheme}:// stores yet; use file://, s3:// or b2://"
    return (
        f"{url}: snapdir has no built-in {url.scheme}:// store; a program snapdir-{url.scheme}-store can serve push,"
        " fetch, pull and verify, but not this; use file://, s3:// or b2://"
    )
