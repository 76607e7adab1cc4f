"""From a directory to a snapshot: manifest, id, stage, push."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio.to_thread

from snapdir.api.external import external_store, push_outside
from snapdir.api.naming import full_id
from snapdir.api.opening import (
    PathLike,
    cached,
    exclude_patterns,
    journal_of,
    local_path,
    opened,
    opened_cache,
    refuse_keyed,
    require_usable,
    require_usable_cache,
)
from snapdir.api.reach import own_locations
from snapdir.api.recording import Publication, provenance_of
from snapdir.catalog.locations import directory_location, store_location
from snapdir.config import Config
from snapdir.errors import IncompleteCache
from snapdir.hashing.hasher import hasher_factory
from snapdir.hashing.tree import snapshot_id as id_of
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.model.paths import check_materialisable
from snapdir.model.patterns import exclusion
from snapdir.repository.repository import Repository
from snapdir.stores.urls import StoreURL
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.snapshot import TreeOptions, snapshot_tree

__all__ = ["id", "id_from_manifest", "manifest", "push", "push_cached", "stage"]


def id_from_manifest(m: Manifest) -> str:
    """The id of the snapshot that ``m`` describes."""
    return str(id_of(m))


async def manifest(
    path: PathLike,
    *,
    no_follow: bool = False,
    absolute: bool = False,
    exclude: Sequence[str] | None = None,
    checksum_bin: str = "b3sum",
    trust_links: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[Manifest], None] | None = None,
) -> Manifest:
    """Walk and hash a directory.

    Args:
        no_follow: Leave every link out instead of following it.
        absolute: List absolute paths.
        exclude: RE2 patterns, searched in absolute paths; one that starts with ``./`` in tree-relative ones.
        counters: ``left_out`` lists what the manifest does not have, and ``warnings`` says so in one line.
        checksum_bin: ``b3sum``, ``md5sum`` or ``sha256sum``; only the first can be pushed.
        trust_links: In a linked tree, take the checksum from the name of the cache's object instead of its content;
            with ``config.stores.verify_copies`` the content is hashed too, and has to agree.
        announce: As in ``push``. (The manifest is recorded if ``config`` names a catalog.)

    Raises:
        WalkFailed, UnsafeName, InFluxError, LocalError: the tree cannot be read as it is.
        SnapdirError: a pattern fits the path of the directory itself, or all patterns leave nothing of its files.
    Cost: about 12 µs a small file, 0.2 s a GiB and hashing thread.
    Cancellation: within one block of the files being hashed.
    """
    config = config or Config()
    counters = counters or Counters()
    options = _named_options(
        config, exclude, no_follow=no_follow, trust_links=trust_links, absolute=absolute, checksum_bin=checksum_bin
    )
    found = await _read_tree(path, options, config, counters)
    publication = Publication(config, counters, announce)
    if config.catalog is None:
        await publication.tell(found)
    else:
        identifier = await anyio.to_thread.run_sync(id_from_manifest, found)
        await publication.complete(found, "manifest", identifier, await _place(directory_location, local_path(path)))
    return found


async def id(
    path: PathLike,
    *,
    no_follow: bool = False,
    absolute: bool = False,
    exclude: Sequence[str] | None = None,
    trust_links: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> str:
    """The id of a directory, as ``manifest`` describes it. Never recorded."""
    config = config or Config()
    options = _named_options(config, exclude, no_follow=no_follow, trust_links=trust_links, absolute=absolute)
    found = await _read_tree(path, options, config, counters or Counters())
    return await anyio.to_thread.run_sync(id_from_manifest, found)


def _named_options(
    config: Config,
    exclude: Sequence[str] | None,
    *,
    no_follow: bool,
    trust_links: bool,
    absolute: bool,
    checksum_bin: str = "b3sum",
) -> TreeOptions:
    """How a tree is read that is named, and not stored."""
    return TreeOptions(
        follow=not no_follow,
        absolute=absolute,
        excluded=exclusion(exclude_patterns(exclude)),
        new_hasher=hasher_factory(checksum_bin, config.keyed_context),
        object_roots=_object_roots(config) if trust_links else (),
        trust_links=not config.stores.verify_copies,
        own_locations=own_locations(config),
    )


async def _read_tree(path: PathLike, options: TreeOptions, config: Config, counters: Counters) -> Manifest:
    read = partial(snapshot_tree, local_path(path), options, counters, hash_threads=config.limits.hashers)
    return await anyio.to_thread.run_sync(read)


async def stage(
    path: PathLike,
    *,
    no_follow: bool = False,
    exclude: Sequence[str] | None = None,
    dry_run: bool = False,
    derived_from: Sequence[str] = (),
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Put a directory's snapshot into the cache and return its id. As ``push`` with the cache as the store, but
    recorded at its directory, in the catalog only: without one, ``derived_from``, ``note`` and ``labels`` raise
    InvalidOption."""
    config = config or Config()
    counters = counters or Counters()
    refuse_keyed(config)
    options = TreeOptions(
        follow=not no_follow,
        excluded=exclusion(exclude_patterns(exclude)),
        object_roots=_object_roots(config),
        own_locations=own_locations(config),
    )
    provenance = await provenance_of(derived_from, note, labels, config, store_keeps=False)
    publication = Publication(config, counters, announce, provenance)
    location = await _place(directory_location, local_path(path))
    if dry_run:
        await require_usable_cache(config)
        return await _only_named(path, options, publication)
    async with opened_cache(config) as cache:
        staged = await _keep_tree(path, cache, options, config, counters)
        await publication.complete(staged, "stage", staged, location)
    return staged


async def push(
    path: PathLike,
    store: str,
    *,
    objects_store: str | None = None,
    no_follow: bool = False,
    exclude: Sequence[str] | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    derived_from: Sequence[str] = (),
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Put a directory's snapshot into a store and return its id. See ``transfer.push.push`` for every promise.

    It is recorded if ``config`` names a catalog, and in its store too unless ``config.shared_catalog`` is false.
    Without a catalog, ``derived_from``, ``note`` and ``labels`` are recorded in the store. A failed record is a
    warning in ``counters``.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Send every object again, whatever the store says it has.
        dry_run: Only find the id, and whether the store answers; nothing is written or recorded.
        derived_from: Ids of the snapshots this one was made from. For the history, as the next two.
        note: Free text.
        labels: Keys and their values.
        announce: Called with the id, in a thread, when the snapshot is complete and before it is recorded.

    Raises:
        InvalidOption: ``derived_from``, ``note`` or ``labels``, with no history to record them in: no catalog, and a
            store that is a program or ``shared_catalog`` off. Raised before anything is sent.
    """
    config = config or Config()
    counters = counters or Counters()
    refuse_keyed(config)
    program = external_store(store, objects_store)
    if program is not None:
        await anyio.to_thread.run_sync(program.require)
    options = TreeOptions(
        follow=not no_follow,
        excluded=exclusion(exclude_patterns(exclude)),
        object_roots=_object_roots(config, store, objects_store),
        own_locations=own_locations(config, store, objects_store),
    )
    provenance = await provenance_of(derived_from, note, labels, config, store_keeps=program is None)
    publication = Publication(config, counters, announce, provenance)
    location = await _place(store_location, store)
    if dry_run:
        if program is None:
            await require_usable(store, config, objects_store)
        return await _only_named(path, options, publication)
    if program is not None:
        async with opened_cache(config) as cache:
            pushed = await _keep_tree(path, cache, options, config, counters)
        await push_outside(SnapshotId(pushed), program, config, verified=True)
        await publication.complete(pushed, "push", pushed, location)
        return pushed
    async with opened(store, config, objects_store) as to:
        pushed = await _push_tree(path, to, options, config, counters, recheck=recheck)
        await publication.complete(pushed, "push", pushed, location, store=to.store)
    return pushed


async def _place(read: Callable[[str], str], text: str) -> str:
    """A location, read in a thread: a relative path asks the system where it starts."""
    return await anyio.to_thread.run_sync(read, text)


async def _only_named(path: PathLike, options: TreeOptions, publication: Publication[str]) -> str:
    found = await _read_tree(path, options, publication.config, publication.counters)
    identifier = await anyio.to_thread.run_sync(id_from_manifest, found)
    await publication.tell(identifier)
    return identifier


async def _push_tree(
    path: PathLike,
    to: Repository,
    options: TreeOptions,
    config: Config,
    counters: Counters,
    *,
    recheck: bool = False,
) -> str:
    from snapdir.repository.known import KnownSnapshots
    from snapdir.transfer.push import push as push_tree

    remote = to.objects.capabilities.remote
    pushed = await push_tree(
        local_path(path),
        to,
        options=options,
        limits=config.limits,
        counters=counters,
        known=KnownSnapshots(config.cache_dir, to.place) if remote else None,
        journal=journal_of(to, config),
        recheck=recheck,
    )
    return str(pushed)


async def _keep_tree(
    path: PathLike, cache: Repository, options: TreeOptions, config: Config, counters: Counters
) -> str:
    """Push a tree into the cache, and replace objects that the cache held already and that are damaged."""
    from snapdir.transfer.download.cached import set_aside
    from snapdir.transfer.download.local_objects import find_unsound
    from snapdir.transfer.engine.plan import plan_objects

    kept = await _push_tree(path, cache, options, config, counters)
    if not counters.objects_skipped:
        return kept  # all of it was written, from bytes that were hashed
    objects = plan_objects(await cached(SnapshotId(kept), cache))
    unsound = await find_unsound(objects, cache, limits=config.limits, counters=Counters())
    if unsound:
        async with set_aside([one for one, _ in unsound], cache):
            kept = await _push_tree(path, cache, options, config, Counters())
        counters.warnings.append(
            f"{len(unsound)} damaged object(s) of the cache have been replaced; the first is for {unsound[0].one.path}"
        )
    return kept


async def push_cached(
    snapshot_id: str,
    store: str,
    *,
    objects_store: str | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    derived_from: Sequence[str] = (),
    note: str | None = None,
    labels: Mapping[str, str] | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[str], None] | None = None,
) -> str:
    """Put a snapshot that is in the cache into a store. Recorded as by ``push``.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Read every object the store has and send those that are wrong again.
        dry_run: As in ``push``; an object that neither the cache nor the store has is an error.
        derived_from, note, labels, announce: As in ``push``.

    Raises:
        ManifestNotFound: it is not in the cache.
        ObjectNotFound: the cache and the store both lack an object.
        UnsafePath: no pull would take its manifest.
    """
    from snapdir.transfer.sync import StoreSync
    from snapdir.transfer.upload.object_copy import ObjectCopier

    config = config or Config()
    counters = counters or Counters()
    identifier = await full_id(snapshot_id, config)
    program = external_store(store, objects_store)
    provenance = await provenance_of(derived_from, note, labels, config, store_keeps=program is None)
    publication = Publication(config, counters, announce, provenance)
    location = await _place(store_location, store)
    async with opened_cache(config) as cache:
        manifest = await cached(identifier, cache)
        await anyio.to_thread.run_sync(check_materialisable, manifest.entries)
        if dry_run:
            await _rehearse_push(identifier, manifest, cache, (store, objects_store), config, recheck=recheck)
            await publication.tell(str(identifier))
        elif program is not None:
            await push_outside(identifier, program, config)
            await publication.complete(str(identifier), "push", identifier, location)
        else:
            async with opened(store, config, objects_store) as to:
                journal = journal_of(to, config)
                copier = ObjectCopier(cache, to, config.limits, counters, recheck=recheck, journal=journal)
                await StoreSync(cache, to, copier, counters, recheck=recheck).copy(identifier)
                await publication.complete(str(identifier), "push", identifier, location, store=to.store)
    return str(identifier)


async def _rehearse_push(
    identifier: SnapshotId,
    manifest: Manifest,
    cache: Repository,
    stores: tuple[str, str | None],
    config: Config,
    *,
    recheck: bool,
) -> None:
    """Fail where ``push_cached`` would for want of a store, or of objects in the cache. Nothing is written."""
    from snapdir.transfer.fetch import require_cached
    from snapdir.transfer.sync import StoreSync
    from snapdir.transfer.upload.object_copy import ObjectCopier

    store, pool = stores
    program = external_store(store, pool)
    if program is not None:
        await anyio.to_thread.run_sync(program.require)
    else:
        await require_usable(store, config, pool)
    try:
        await anyio.to_thread.run_sync(require_cached, identifier, manifest, cache)
    except IncompleteCache:
        if program is not None:
            raise
        counters = Counters()
        async with opened(store, config, pool) as to:
            copier = ObjectCopier(cache, to, config.limits, counters, recheck=recheck)
            await StoreSync(cache, to, copier, counters, recheck=recheck, dry_run=True).copy(identifier)


def _object_roots(config: Config, *stores: str | None) -> tuple[str, ...]:
    """Directories of this host that hold objects: the cache, and those of ``stores`` that are."""
    urls = [StoreURL.parse(store) for store in stores if store is not None]
    return (str(config.cache_dir.expanduser()), *(str(url.path) for url in urls if url.scheme == "file"))
