"""The meaning of arguments: an id from its first digits, a ref (a store, a snapshot, a directory), a selection."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.stores import StorePair, local_path, opened, opened_cache, parse_stores, require_in_process
from snapdir.config import Config
from snapdir.errors import AccessDenied, AmbiguousId, CatalogError, InvalidStore, StoreMissing, UnknownId
from snapdir.model.digest import ID_DIGITS, SnapshotId, id_prefix
from snapdir.model.keys import MANIFESTS, OBJECTS
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreUri, StoreURL

if TYPE_CHECKING:
    from snapdir.transfer.engine.selection import Selection


async def resolve_id(snapshot_id: str, store: str | None = None, *, config: Config | None = None) -> str:
    """The whole id of a snapshot, from its first 8 or more digits, in upper or lower case.

    The id is searched in the cache, in the catalog of ``config``, and in ``store``.

    Raises:
        InvalidId: the text is not hexadecimal, or has too few or too many digits.
        UnknownId: no id matches; the message names the places that were searched.
        AmbiguousId: several ids match; ``matches`` lists them.
    Cost: one request (a page of a listing); none for 64 digits, which are returned as they are.
    """
    config = config or Config()
    stores = await parse_stores(store)
    if stores.url is None or len(snapshot_id) == ID_DIGITS or stores.program is not None:
        return await full_id(snapshot_id, config)
    async with opened(stores, config) as source:
        return await full_id(snapshot_id, config, source)


async def full_id(snapshot_id: str, config: Config, source: Repository | None = None) -> SnapshotId:
    """``resolve_id`` in the cache, the catalog and a repository that is open already."""
    if len(snapshot_id) == ID_DIGITS:
        return SnapshotId(snapshot_id)
    digits = id_prefix(snapshot_id)
    found: dict[str, Iterable[str]] = {}
    async with opened_cache(config) as cache:
        found[f"the cache at {config.cache_dir}"] = await find_cached(cache, digits, needed=source is None)
    if config.catalog is not None and await anyio.to_thread.run_sync(os.path.isfile, config.catalog):
        found[f"the catalog {config.catalog}"] = await anyio.to_thread.run_sync(_recorded, config.catalog, digits)
    if source is not None:
        found[source.url] = await source.find_snapshots(digits)
    return only_match(digits, found)


def only_match(digits: str, found: Mapping[str, Iterable[str]]) -> SnapshotId:
    """The id that starts with ``digits``, from all that each of the searched places has found.

    Raises:
        UnknownId: no id matches.
        AmbiguousId: several ids match.
    """
    matches = {snapshot_id for ids in found.values() for snapshot_id in ids}
    if not matches:
        raise UnknownId(digits, list(found))
    if len(matches) > 1:
        raise AmbiguousId(digits, sorted(matches))
    return SnapshotId(matches.pop())


async def find_cached(cache: Repository, digits: str, *, needed: bool) -> Iterable[str]:
    """The ids that start with ``digits`` of whole and partial snapshots; none if the cache is unreadable, and not
    ``needed``.
    """
    from snapdir.repository.cache import find_incomplete

    try:
        return {*await cache.find_snapshots(digits), *await find_incomplete(digits, cache)}
    except StoreMissing:
        return ()  # a cache that was never filled
    except AccessDenied:
        if needed:
            raise
        return ()


def _recorded(file: Path, digits: str) -> Iterable[str]:
    from snapdir.catalog.catalog import Catalog

    try:
        with Catalog(file, reading=True) as catalog:
            return catalog.ids_that_start(digits)
    except CatalogError:
        return ()  # the history only helps to find an id: an unreadable one stops no transfer


_ID = re.compile(r"[0-9a-fA-F]{8,64}").fullmatch
_STORE_AND_ID = re.compile(r"(.+)@([0-9a-fA-F]{1,64})", re.DOTALL).fullmatch
_FEWEST_DIGITS = 8
_HAS_SCHEME = re.compile(r"[a-z0-9]+:").match


@dataclass(frozen=True, slots=True)
class Ref:
    """One of: every snapshot of a store, one of its snapshots, a snapshot of the cache or any store, a directory.

    Attributes:
        typed: As it was given.
        snapshot_id: An id, or its first digits.
        directory: A directory that is hashed.
    """

    typed: str
    store: StoreURL | None = None
    snapshot_id: str | None = None
    directory: str | None = None

    @property
    def is_whole_store(self) -> bool:
        return self.store is not None and self.snapshot_id is None


def parse_ref(text: str) -> Ref:
    """The meaning of ``text``. Blocking: paths are looked up.

    ``STORE@ID`` needs at least 8 digits after the last ``@``; a local directory that has the whole text as its name
    wins, and so does a trailing slash. A directory that holds ``.manifests`` or ``.objects`` is a store; any other is
    hashed. A URL, ``file://`` too, is always a store.

    Raises:
        InvalidStore: none of these.
    """
    if _ID(text) and (len(text) == 64 or not os.path.isdir(text)):
        return Ref(text, snapshot_id=text)
    both = _STORE_AND_ID(text)
    # With fewer digits it may be the name of a prefix; after an existing store it is an id that is too short.
    meant = both and (len(both[2]) >= _FEWEST_DIGITS or holds_store(_path_of(both[1])))
    if both and meant and not _is_directory(text):
        return Ref(text, store=_url(both[1]), snapshot_id=both[2])
    path = local_path(text)
    if not isinstance(text, StoreUri) and not _HAS_SCHEME(text) and os.path.isdir(path) and not holds_store(path):
        return Ref(text, directory=path)
    return Ref(text, store=_url(text))


def holds_store(directory: str) -> bool:
    """Whether a directory is a store. Blocking."""
    return any(os.path.isdir(os.path.join(directory, name)) for name in (MANIFESTS, OBJECTS))


def _url(text: str) -> StoreURL:
    """
    Raises:
        InvalidStore: not a URL, or one that a program serves.
    """
    has_scheme = _HAS_SCHEME(text)
    if not has_scheme and os.path.isdir(text):
        text = os.path.abspath(text)  # data/store, without the dot that the path of a store would need
    try:
        url = StoreURL.parse(text)
    except InvalidStore as error:
        if has_scheme:
            raise
        raise InvalidStore(
            f"{text!r} is neither a directory here, a store nor an id; write STORE, STORE@ID, an existing directory, or"
            " an id (64 digits, or the first 8 or more)"
        ) from error
    require_in_process(StorePair(url))
    return url


def _is_directory(text: str) -> bool:
    return os.path.isdir(_path_of(text))


def _path_of(text: str) -> str:
    return local_path(text[len("file:") :] if text.startswith("file:/") else text)


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
