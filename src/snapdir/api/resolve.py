"""What an argument means: an id by its first digits, or a ref (a store, a snapshot of one, a directory, an id)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from snapdir.api.external import external_store
from snapdir.api.stores import AS_SYNC, holds_store, local_path, opened, opened_cache, refuse_external
from snapdir.config import Config
from snapdir.errors import AccessDenied, CatalogError, InvalidStore, StoreMissing
from snapdir.model.digest import ID_DIGITS, SnapshotId, id_prefix
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreUri, StoreURL

__all__ = ["Ref", "full_id", "parse_ref", "resolve_id"]


async def resolve_id(snapshot_id: str, store: str | None = None, *, config: Config | None = None) -> str:
    """The whole id of a snapshot, from its first digits: 8 at least, in either case.

    The cache is looked through, the catalog of ``config``, and ``store``; exactly one id may match.

    Raises:
        InvalidId: not the digits of an id, or too few.
        UnknownId: none matches; the message says where was looked.
        AmbiguousId: several match; ``matches`` lists them.
    Cost: one request (a page of a listing); none for 64 digits, which are not looked up.
    """
    config = config or Config()
    if store is None or len(snapshot_id) == ID_DIGITS or external_store(store) is not None:
        return await full_id(snapshot_id, config)
    async with opened(store, config) as source:
        return await full_id(snapshot_id, config, source)


async def full_id(snapshot_id: str, config: Config, *sources: Repository | None) -> SnapshotId:
    """``resolve_id`` among the cache, the catalog and repositories that are open already."""
    if len(snapshot_id) == ID_DIGITS:
        return SnapshotId(snapshot_id)
    digits = id_prefix(snapshot_id)
    from snapdir.repository.naming import IdSource, find_snapshot

    async with opened_cache(config) as cache:
        find_cached = partial(_find_cached, cache, needed=not any(sources))
        searched = [IdSource(f"the cache at {config.cache_dir}", find_cached)]
        if config.catalog is not None and await anyio.to_thread.run_sync(os.path.isfile, config.catalog):
            searched.append(IdSource(f"the catalog {config.catalog}", partial(_find_recorded, config.catalog)))
        searched += [IdSource(source.url, source.find_snapshots) for source in sources if source is not None]
        return await find_snapshot(digits, searched)


async def _find_cached(cache: Repository, digits: str, *, needed: bool) -> Iterable[str]:
    from snapdir.repository.cache import find_incomplete

    try:
        return {*await cache.find_snapshots(digits), *await find_incomplete(digits, cache)}
    except StoreMissing:
        return ()  # a cache that was never filled
    except AccessDenied:
        if needed:
            raise
        return ()


async def _find_recorded(file: Path, digits: str) -> Iterable[str]:
    return await anyio.to_thread.run_sync(_recorded, file, digits)


def _recorded(file: Path, digits: str) -> Iterable[str]:
    from snapdir.catalog.catalog import Catalog

    try:
        with Catalog(file, reading=True) as catalog:
            return catalog.ids_that_start(digits)
    except CatalogError:
        return ()  # the history only helps to find an id: one that cannot be read stops no transfer


_ID = re.compile(r"[0-9a-fA-F]{8,64}").fullmatch
_STORE_AND_ID = re.compile(r"(.+)@([0-9a-fA-F]{1,64})", re.DOTALL).fullmatch
_FEWEST_DIGITS = 8
_HAS_SCHEME = re.compile(r"[a-z0-9]+:").match


@dataclass(frozen=True, slots=True)
class Ref:
    """One of: every snapshot of a store, one of its snapshots, a snapshot of the cache or any store, a directory.

    Attributes:
        typed: As it was given.
        store: URL of a store.
        snapshot_id: An id, or the first digits of one.
        directory: A directory whose snapshot is taken.
    """

    typed: str
    store: str | None = None
    snapshot_id: str | None = None
    directory: str | None = None

    @property
    def is_whole_store(self) -> bool:
        return self.store is not None and self.snapshot_id is None


def parse_ref(text: str) -> Ref:
    """What ``text`` stands for. Blocking: a path is looked at.

    ``STORE@ID`` needs at least 8 digits behind the last ``@``; a local directory that has the whole text as its name
    wins, and so does a trailing slash. A directory that holds ``.manifests`` or ``.objects`` is a store, any other is
    taken a snapshot of. A URL, ``file://`` too, is always a store.

    Raises:
        InvalidStore: none of these.
    """
    if _ID(text) and (len(text) == 64 or not os.path.isdir(text)):
        return Ref(text, snapshot_id=text)
    both = _STORE_AND_ID(text)
    # With fewer digits it may be the name of a prefix; behind a store that is here it is an id that is too short.
    meant = both and (len(both[2]) >= _FEWEST_DIGITS or holds_store(_path_of(both[1])))
    if both and meant and not _is_directory(text):
        return Ref(text, store=_url(both[1]), snapshot_id=both[2])
    path = local_path(text)
    if not isinstance(text, StoreUri) and not _HAS_SCHEME(text) and os.path.isdir(path) and not holds_store(path):
        return Ref(text, directory=path)
    return Ref(text, store=_url(text))


def _url(text: str) -> str:
    """A store's URL in its normal form.

    Raises:
        InvalidStore: not a URL, or one of a program outside.
    """
    if not _HAS_SCHEME(text) and os.path.isdir(text):
        text = os.path.abspath(text)  # data/store, without the dot that a store's own name would need
    try:
        refuse_external(AS_SYNC, text)
        return str(StoreURL.parse(text))
    except InvalidStore as error:
        if _HAS_SCHEME(text):
            raise
        raise InvalidStore(
            f"no directory {text!r} here, nor is that a store or an id; write STORE, STORE@ID, a directory that exists,"
            " or an id (64 digits, or the first 8 or more)"
        ) from error


def _is_directory(text: str) -> bool:
    return os.path.isdir(_path_of(text))


def _path_of(text: str) -> str:
    return local_path(text[len("file:") :] if text.startswith("file:/") else text)
