"""What every function of the API does first: read its arguments, open stores, find the cache."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from snapdir.config import Config
from snapdir.errors import (
    AccessDenied,
    InvalidOption,
    InvalidStore,
    LocalError,
    ObjectNotFound,
    SnapdirError,
    TransferFailed,
)
from snapdir.errors.local import DENIED
from snapdir.model.digest import ID_DIGITS, SnapshotId
from snapdir.model.keys import MANIFESTS, OBJECTS, manifest_prefix
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.base import first_page
from snapdir.stores.urls import StoreURL

if TYPE_CHECKING:
    from snapdir.stores.settings import StoreSettings
    from snapdir.transfer.engine.selection import Selection
    from snapdir.transfer.upload.journal import UploadJournal

__all__ = [
    "AS_SYNC",
    "CACHE_HINT",
    "IN_PROCESS",
    "NO_CACHE_HINT",
    "PathLike",
    "cache_hint",
    "cached",
    "cached_whole",
    "exclude_patterns",
    "holds_store",
    "journal_of",
    "local_path",
    "location_of",
    "object_roots",
    "opened",
    "opened_cache",
    "opened_or_none",
    "pool_hint",
    "refuse_external",
    "refuse_keyed",
    "require_answer",
    "require_usable",
    "require_usable_cache",
    "required",
    "selection_of",
]

PathLike = str | os.PathLike[str]

IN_PROCESS = ("file", "s3", "b2", "gs")
"""Schemes of stores that give bytes by key. Others are programs, which push and fetch whole snapshots."""

AS_SYNC = "sync"
"""The word of the message that refuses other stores, whatever the verb: the existing tool has this one for all."""

CACHE_HINT = "choose another cache with --cache-dir or SNAPDIR_CACHE_DIR"
NO_CACHE_HINT = "or pull without one: --no-cache"

POOL_HINT = (
    "if the objects are in a pool of their own, name it with --objects-store (sync: --from-objects; "
    "in Python: objects_store=)"
)


def exclude_patterns(exclude: Sequence[str] | None) -> Sequence[str]:
    if isinstance(exclude, str):
        raise TypeError("exclude is a sequence of patterns, not one str")
    return exclude or ()


def selection_of(include: Sequence[str] | None, exclude: Sequence[str] | None, shard: str | None) -> Selection:
    """The part of a snapshot that these arguments mean.

    Raises:
        InvalidOption: a bad glob or shard.
    """
    from snapdir.model.sharding import Shard
    from snapdir.transfer.engine.selection import Selection

    if isinstance(include, str) or isinstance(exclude, str):
        raise TypeError("include and exclude are sequences of globs, not one str")
    part = None if shard is None else Shard.parse(shard)
    return Selection(tuple(include or ()), tuple(exclude or ()), part)


def local_path(path: PathLike) -> str:
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path is str or os.PathLike[str], not {type(text).__name__}")
    return os.path.expanduser(text) if text.startswith("~") else text


def holds_store(directory: str) -> bool:
    """Whether a directory is a store. Blocking."""
    return any(os.path.isdir(os.path.join(directory, name)) for name in (MANIFESTS, OBJECTS))


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


async def cached(identifier: SnapshotId, cache: Repository, *, incomplete: bool = False) -> Manifest:
    """The cache's manifest of a snapshot; with ``incomplete`` also of one that was fetched in part.

    Raises:
        ManifestNotFound: the cache has none.
        CorruptManifest, StoreError: it is damaged, or cannot be read.
    """
    from snapdir.repository.cache import held_manifest

    return (await held_manifest(identifier, cache, incomplete=incomplete)).require(identifier)


async def cached_whole(identifier: SnapshotId, cache: Repository, selection: Selection) -> Manifest:
    """The cache's manifest of a snapshot, if the cache has every selected object too.

    Raises:
        ManifestNotFound, CorruptManifest, StoreError: as ``cached``.
        IncompleteCache: an object is missing.
    """
    from snapdir.repository.cache import require_cached

    manifest = await cached(identifier, cache, incomplete=selection.is_partial)
    selected = await anyio.to_thread.run_sync(selection.of, manifest)
    await anyio.to_thread.run_sync(require_cached, identifier, selected, cache)
    return manifest


def refuse_external(what: str, *stores: str | None) -> None:
    """
    Raises:
        InvalidStore: one of ``stores`` is no URL, or a program outside, which cannot take part in ``what``.
    """
    for store in filter(None, stores):
        if StoreURL.parse(store).scheme not in IN_PROCESS:
            raise InvalidStore(
                f"{what} requires in-process stores (file/s3/b2/gcs); external `snapdir-*-store` URLs are not "
                f"supported: {store}"
            )


@asynccontextmanager
async def opened(store: str, config: Config, objects_store: str | None = None) -> AsyncIterator[Repository]:
    """A store, or a pair: manifests in ``store``, objects in the pool ``objects_store``."""
    from snapdir.stores.open import open_store

    settings = _settings(config)
    if objects_store is None:
        async with open_store(store, settings) as bytes_at_keys:
            yield Repository(bytes_at_keys, max_manifest_bytes=config.limits.max_manifest_bytes or None)
        return
    refuse_external("a pool of objects", objects_store, store)
    async with open_store(store, settings) as manifests, open_store(objects_store, settings) as objects:
        yield Repository(manifests, objects, max_manifest_bytes=config.limits.max_manifest_bytes or None)


def _settings(config: Config) -> StoreSettings:
    return replace(config.stores, notes_dir=config.cache_dir.expanduser())


@asynccontextmanager
async def opened_or_none(
    store: str | None, config: Config, objects_store: str | None = None
) -> AsyncIterator[Repository | None]:
    if store is None:
        yield None
    else:
        async with opened(store, config, objects_store) as repository:
            yield repository


async def require_usable(store: str, config: Config, objects_store: str | None = None) -> None:
    """Open a store and ask it one thing, as a dry run does: one of no use is told before any work.

    A directory that is not there yet is of use, since a push makes it.

    Raises:
        StoreError: it cannot be reached or entered, or does not exist.
    """
    async with opened(store, config, objects_store) as to:
        await require_answer(to)


async def require_usable_cache(config: Config) -> None:
    """``require_usable`` for the cache."""
    async with opened_cache(config) as cache:
        await require_answer(cache)


async def require_answer(to: Repository) -> None:
    """``require_usable`` for a store or cache that is open."""
    for side in {to.store, to.objects}:
        root = side.local_path("")
        if root is None or await anyio.Path(root).exists():
            await first_page(side, manifest_prefix("0" * ID_DIGITS))


@contextmanager
def pool_hint(objects_store: str | None) -> Iterator[None]:
    """Where an object is absent and no pool was named, say that there may be one."""
    try:
        yield
    except (ObjectNotFound, TransferFailed) as error:
        if objects_store is None and _is_absence(error):
            error.add_note(POOL_HINT)
        raise


def _is_absence(error: SnapdirError) -> bool:
    leaves = error.exceptions if isinstance(error, TransferFailed) else (error,)
    return any(isinstance(leaf, ObjectNotFound) for leaf in leaves)


def journal_of(to: Repository, config: Config) -> UploadJournal | None:
    """Where uploads to a repository are written down; None for a store on this host, which has none."""
    from snapdir.transfer.upload.journal import UploadJournal

    remote = to.objects.capabilities.remote
    return UploadJournal(config.cache_dir.expanduser(), to.objects.url) if remote else None


@contextmanager
def cache_hint(config: Config, hint: str = CACHE_HINT) -> Iterator[None]:
    """Where the cache may not be read or written, say ``hint``."""
    try:
        yield
    except SnapdirError as error:
        root = str(config.cache_dir.expanduser().absolute())
        leaves = error.exceptions if isinstance(error, TransferFailed) else (error,)
        if any(_is_denied_below(root, leaf) for leaf in leaves) and hint not in getattr(error, "__notes__", ()):
            error.add_note(hint)
        raise


def _is_denied_below(root: str, error: BaseException) -> bool:
    """Whether ``error`` is about the rights to the directory ``root``, or to make it."""
    if isinstance(error, AccessDenied) and error.path is not None:
        return f"{error.path}/".startswith(f"{root}/") or root.startswith(f"{error.path}/")
    return isinstance(error, LocalError) and error.errno in DENIED and f"{error.path}/".startswith(f"{root}/")


@asynccontextmanager
async def opened_cache(config: Config) -> AsyncIterator[Repository]:
    """The local cache; its errors about damage name `snapdir verify-cache --purge`, those about rights --cache-dir."""
    from snapdir.errors.base import CACHE_ADVICE
    from snapdir.stores.open import open_store

    url = str(config.cache_dir.expanduser().absolute())
    with cache_hint(config):
        async with open_store(url, _settings(config)) as store:
            yield Repository(store, max_manifest_bytes=config.limits.max_manifest_bytes or None, advice=CACHE_ADVICE)


async def location_of(read: Callable[[str], str], text: str) -> str:
    """A location, read in a thread: a relative path asks the system where it starts."""
    return await anyio.to_thread.run_sync(read, text)


def object_roots(config: Config, *stores: str | None) -> tuple[str, ...]:
    """Directories of this host that hold objects: the cache, and those of ``stores`` that are."""
    urls = [StoreURL.parse(store) for store in stores if store is not None]
    return (str(config.cache_dir.expanduser()), *(str(url.path) for url in urls if url.scheme == "file"))
