"""The meaning of arguments: an id from digits or a name, a ref (a store, a snapshot, a directory), a selection."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.stores import PathLike, StorePair, local_path, opened, opened_cache, parse_stores, require_in_process
from snapdir.config import Config
from snapdir.errors import (
    AccessDenied,
    AmbiguousId,
    CatalogError,
    InvalidOption,
    InvalidStore,
    ManifestNotFound,
    NothingPushed,
    ObjectNotFound,
    StoreMissing,
    UnknownId,
    UnknownName,
    has_login,
)
from snapdir.model.arguments import checked
from snapdir.model.digest import ID_DIGITS, SnapshotId, id_prefix, is_hexadecimal
from snapdir.model.keys import MANIFESTS, OBJECTS, manifest_key
from snapdir.model.tags import LATEST, is_name, newest_push
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreUri, StoreURL, store_text

if TYPE_CHECKING:
    from snapdir.transfer.engine.events import Counters
    from snapdir.transfer.engine.selection import Selection


@checked
async def resolve_id(
    snapshot_id: str,
    store: PathLike | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> str:
    """The whole id of a snapshot, from its first 8 or more digits, in upper or lower case, or from its name.

    Digits are searched in the cache, in the catalog of ``config``, and in ``store``; a name (see ``tag``) in ``store``.
    ``latest`` is the newest push that the history of ``store`` has and whose snapshot is still there.

    Args:
        labels: With ``latest``: only a push that has all of these labels.
        counters: ``names`` gets the name and its id, and ``chosen_by`` the labels.

    Raises:
        InvalidId: the text is no name, and is not hexadecimal, or has too few or too many digits.
        UnknownName: ``store`` has no such name.
        UnknownId: no id matches; the message names the places that were searched.
        AmbiguousId: several ids match; ``matches`` lists them.
        NothingPushed: ``latest``, and there is no such push.
        ManifestNotFound: ``latest``, and the snapshots of all such pushes were removed.
    Cost: one request (a page of a listing, or a name), more for ``latest``; none for 64 digits.
    """
    config = config or Config()
    stores = await parse_stores(store)
    if not labels:
        return await id_in(stores, snapshot_id, config, counters)
    if snapshot_id != LATEST:
        raise InvalidOption(
            f"labels choose among the pushes of a store: they go with {LATEST!r}, not with an id or a name"
        )
    require_in_process(stores, verb="a name of a snapshot")
    async with opened(stores, config) as source:
        return await _newest_push(source, labels, counters)


async def id_in(stores: StorePair, snapshot_id: str, config: Config, counters: Counters | None = None) -> SnapshotId:
    """``full_id`` in a store that is not open yet. It is opened only if that is needed."""
    if is_name(snapshot_id):
        require_in_process(stores, verb="a name of a snapshot")
    if stores.url is None or stores.program is not None or _is_complete(snapshot_id):
        return await full_id(snapshot_id, config)
    async with opened(stores, config) as source:
        return await full_id(snapshot_id, config, source, counters=counters)


async def id_here(stores: StorePair, snapshot_id: str, config: Config, counters: Counters | None = None) -> SnapshotId:
    """``full_id`` without the store, which is opened for a name only."""
    if is_name(snapshot_id):
        return await id_in(stores, snapshot_id, config, counters)
    return await full_id(snapshot_id, config)


async def full_id(
    snapshot_id: str, config: Config, source: Repository | None = None, *, counters: Counters | None = None
) -> SnapshotId:
    """``resolve_id`` in the cache, the catalog and a repository that is open already."""
    if _is_complete(snapshot_id):
        return SnapshotId(snapshot_id)
    if is_name(snapshot_id):
        return await _named(snapshot_id, source, counters)
    digits = id_prefix(snapshot_id)
    found: dict[str, Iterable[str]] = {}
    async with opened_cache(config) as cache:
        found[f"the cache at {config.cache_dir}"] = await find_cached(cache, digits, needed=source is None)
    if config.catalog is not None and await anyio.to_thread.run_sync(os.path.isfile, config.catalog):
        found[f"the catalog {config.catalog}"] = await anyio.to_thread.run_sync(_recorded, config.catalog, digits)
    if source is not None:
        found[source.url] = await source.find_snapshots(digits)
    return only_match(digits, found)


def _is_complete(snapshot_id: str) -> bool:
    return len(snapshot_id) == ID_DIGITS and is_hexadecimal(snapshot_id)


async def _named(name: str, source: Repository | None, counters: Counters | None) -> SnapshotId:
    from snapdir.repository.tags import find_tag, unknown_name

    if source is None:
        raise UnknownName(name)
    if name == LATEST:
        return await _newest_push(source, {}, counters)
    tag = await find_tag(source.store, name)
    if tag is None or tag.id is None:
        raise await unknown_name(name, source.store)
    if counters is not None:
        counters.resolved(name, tag.id)
    return SnapshotId(tag.id)


async def _newest_push(source: Repository, labels: Mapping[str, str], counters: Counters | None) -> SnapshotId:
    """The newest push whose manifest is in the store. One look for each one that is newer, and for itself."""
    from snapdir.catalog.shared import SharedHistory

    gone: dict[str, None] = {}

    async def is_present(snapshot_id: str) -> bool:
        if snapshot_id in gone:
            return False
        try:
            await source.store.stat(manifest_key(snapshot_id))
        except ObjectNotFound:
            gone[snapshot_id] = None
        return snapshot_id not in gone

    history = SharedHistory(source.store, source.url)
    record = None if labels else await history.newest()
    if record is None or not await is_present(record.id):
        record = await history.newest_push(labels, is_present)
    if record is None and gone:
        raise ManifestNotFound(next(iter(gone)), source.url)
    if record is None:
        raise NothingPushed(source.url, labels)
    if gone and counters is not None:
        counters.warnings.append(
            f"{len(gone)} snapshot(s) that were pushed to {source.url} later are not there any more:"
            f" {newest_push(labels)} that is there was taken"
        )
    if counters is not None:
        counters.resolved(LATEST, record.id, chosen_by=labels)
    return SnapshotId(record.id)


async def require_published(snapshot_id: SnapshotId, source: Repository) -> None:
    """
    Raises:
        ManifestNotFound: ``source`` has no such snapshot.
    """
    try:
        await source.store.stat(manifest_key(snapshot_id))
    except ObjectNotFound as error:
        raise ManifestNotFound(snapshot_id, source.url) from error


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
        snapshot_id: An id, its first digits, or a name.
        directory: A directory that is hashed.
    """

    typed: str
    store: StoreURL | None = None
    snapshot_id: str | None = None
    directory: str | None = None

    @property
    def is_whole_store(self) -> bool:
        return self.store is not None and self.snapshot_id is None


def parse_ref(text: PathLike, *, verb: str = "this") -> Ref:
    """The meaning of ``text``. Blocking: paths are looked up.

    ``STORE@ID`` needs at least 8 digits, or a name, after the last ``@``; a local directory that has the whole text as
    its name wins, and so does a trailing slash. A directory that holds ``.manifests`` or ``.objects`` is a store; any
    other is hashed. A URL, ``file://`` too, is always a store. Anything else that may be a name is one.

    Args:
        verb: For the error about a store that is a program.

    Raises:
        InvalidStore: none of these.
    """
    text = store_text(text)
    if _ID(text) and (len(text) == 64 or not os.path.isdir(text)):
        return Ref(text, snapshot_id=text)
    login = has_login(text)  # then no @ is that of STORE@ID
    both = None if login else _STORE_AND_ID(text)
    # With fewer digits it may be the name of a prefix; after an existing store it is an id that is too short.
    meant = both and (len(both[2]) >= _FEWEST_DIGITS or holds_store(_path_of(both[1])))
    if both and meant and not _is_directory(text):
        return Ref(text, store=_url(both[1], verb), snapshot_id=both[2])
    store, _, name = text.rpartition("@")
    if store and is_name(name) and not login and not _is_directory(text):
        return Ref(text, store=_url(store, verb), snapshot_id=name)
    path = local_path(text)
    if not isinstance(text, StoreUri) and not _HAS_SCHEME(text) and os.path.isdir(path) and not holds_store(path):
        return Ref(text, directory=path)
    try:
        return Ref(text, store=_url(text, verb))
    except InvalidStore:
        if _HAS_SCHEME(text) or not is_name(text):
            raise
        return Ref(text, snapshot_id=text)


async def whole_store(text: PathLike) -> StoreURL:
    """The store that ``text`` names, for functions that take nothing else.

    Raises:
        InvalidStore: it names something else.
    """
    ref = await anyio.to_thread.run_sync(parse_ref, text)
    if ref.store is None or not ref.is_whole_store:
        raise InvalidStore(f"{text} is not a store; write file:///path, ./path or s3://bucket/prefix")
    return ref.store


def holds_store(directory: str) -> bool:
    """Whether a directory is a store. Blocking."""
    return any(os.path.isdir(os.path.join(directory, name)) for name in (MANIFESTS, OBJECTS))


def _url(text: str, verb: str) -> StoreURL:
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
        raise not_a_ref(text) from error
    require_in_process(StorePair(url), verb=verb)
    return url


def not_a_ref(text: str) -> InvalidStore:
    return InvalidStore(
        f"{text!r} is neither a directory here, a store nor an id; write STORE, STORE@ID, an existing directory, or an"
        " id (64 digits, or the first 8 or more); a name needs its store: STORE@NAME, or --store"
    )


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

    part = None if shard is None else Shard.parse(shard)
    return Selection(tuple(include or ()), tuple(exclude or ()), part)
