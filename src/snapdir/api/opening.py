"""What every function of the API does first: read its arguments, open stores, find the cache."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from snapdir.config import Config
from snapdir.errors import InvalidOption, ManifestNotFound, SnapdirError
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository

__all__ = [
    "PathLike",
    "cached",
    "exclude_patterns",
    "local_path",
    "opened",
    "opened_cache",
    "opened_or_none",
    "refuse_keyed",
    "required",
]

PathLike = str | os.PathLike[str]


def exclude_patterns(exclude: Sequence[str] | None) -> Sequence[str]:
    if isinstance(exclude, str):
        raise TypeError("exclude is a sequence of patterns, not one str")
    return exclude or ()


def local_path(path: PathLike) -> str:
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path is str or os.PathLike[str], not {type(text).__name__}")
    return os.path.expanduser(text) if text.startswith("~") else text


def refuse_keyed(config: Config) -> None:
    if config.keyed_context:
        raise InvalidOption(
            "SNAPDIR_MANIFEST_CONTEXT is set: a keyed manifest has an id, but stores address objects by plain BLAKE3;"
            " unset it to push or stage"
        )


def required(store: str | None) -> str:
    from snapdir.transfer.fetch import NO_STORE

    if store is None:
        raise SnapdirError(NO_STORE)
    return store


async def cached(identifier: SnapshotId, cache: Repository) -> Manifest:
    from snapdir.transfer.fetch import cached_manifest

    found = await cached_manifest(identifier, cache)
    if found is None:
        raise ManifestNotFound(identifier, "the local cache")
    return found


@asynccontextmanager
async def opened(store: str, config: Config) -> AsyncIterator[Repository]:
    from snapdir.stores.open import open_store

    async with open_store(store, config.stores) as bytes_at_keys:
        yield Repository(bytes_at_keys)


@asynccontextmanager
async def opened_or_none(store: str | None, config: Config) -> AsyncIterator[Repository | None]:
    if store is None:
        yield None
    else:
        async with opened(store, config) as repository:
            yield repository


@asynccontextmanager
async def opened_cache(config: Config) -> AsyncIterator[Repository]:
    async with opened(str(config.cache_dir.expanduser().absolute()), config) as cache:
        yield cache
