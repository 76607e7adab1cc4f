"""What a snapshot is called where one is wanted: a store, a snapshot of one, a directory, or an id."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import anyio.to_thread

from snapdir.api.naming import full_id
from snapdir.api.opening import (
    AS_SYNC,
    holds_store,
    local_path,
    opened,
    opened_cache,
    opened_or_none,
    refuse_external,
)
from snapdir.config import Config
from snapdir.errors import InvalidStore, ManifestNotFound, SnapdirError
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published
from snapdir.stores.urls import StoreUri, StoreURL
from snapdir.transfer.engine.events import Counters

__all__ = ["Ref", "manifest_of", "manifests_of", "parse_ref"]

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


async def manifest_of(
    ref: str,
    *,
    store: str | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Manifest:
    """The manifest of one snapshot: ``STORE@ID``, a directory (which is hashed), or an id.

    Args:
        store: Where to look for an id that is not in the cache.

    Raises:
        SnapdirError: the ref is a whole store.
        ManifestNotFound: there is no such snapshot.
    """
    parsed = await anyio.to_thread.run_sync(parse_ref, ref)
    if parsed.is_whole_store:
        raise SnapdirError(f"{ref} is a store: name one of its snapshots, {ref}@ID")
    return (await manifests_of(parsed, store=store, config=config or Config(), counters=counters or Counters()))[0]


async def manifests_of(ref: Ref, *, store: str | None, config: Config, counters: Counters) -> list[Manifest]:
    """All manifests of a ref; those of a whole store by date, the oldest first."""
    from snapdir.api.trees import manifest

    if ref.directory is not None:
        return [await manifest(ref.directory, config=config, counters=counters)]
    if ref.is_whole_store:
        return await _all_of(ref.store or "", config)
    return [await _one_of(ref, store, config, counters)]


async def _one_of(ref: Ref, store: str | None, config: Config, counters: Counters) -> Manifest:
    """A snapshot of a store; of the cache, or else of ``store``, for a bare id."""
    from snapdir.transfer.download.cached import held_manifest, mend_manifest

    given = ref.snapshot_id or ""
    if ref.store is not None:
        async with opened(ref.store, config) as source:
            return await source.read_manifest(await full_id(given, config, source))
    async with opened_or_none(store, config) as source, opened_cache(config) as cache:
        identifier = await full_id(given, config, source)
        held = await held_manifest(identifier, cache, incomplete=True)
        if held.manifest is not None:
            return held.manifest
        if source is None:
            error = held.damage or ManifestNotFound(identifier, "the local cache")
            error.add_note("--store names a store to look in")
            raise error
        manifest = await source.read_manifest(identifier)
        if held.damage is not None:
            await mend_manifest(manifest, identifier, cache, held, counters)
        return manifest


async def _all_of(store: str, config: Config) -> list[Manifest]:
    from snapdir.transfer.comparing.manifests import each_manifest, published_by_date

    async with opened(store, config) as source:
        published = await published_by_date(source)
        found: dict[str, Manifest] = {}

        def keep(one: Published, manifest: Manifest) -> None:
            found[one.snapshot_id] = manifest

        await each_manifest(source, published, keep, limits=config.limits)
    return [found[one.snapshot_id] for one in published]
