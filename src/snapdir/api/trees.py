"""From a directory to a snapshot: manifest, id, stage, push."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio.to_thread

from snapdir.api.external import external_store, push_outside
from snapdir.api.naming import full_id
from snapdir.api.opening import (
    PathLike,
    cached,
    exclude_patterns,
    local_path,
    opened,
    opened_cache,
    refuse_external,
    refuse_keyed,
)
from snapdir.config import Config
from snapdir.hashing.hasher import hasher_factory
from snapdir.hashing.tree import snapshot_id as id_of
from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.model.patterns import exclusion
from snapdir.stores.urls import StoreURL
from snapdir.transfer.events import Counters
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
) -> Manifest:
    """Walk and hash a directory.

    Args:
        no_follow: Leave every link out instead of following it.
        absolute: List absolute paths.
        exclude: RE2 patterns, searched in absolute paths; one that starts with ``./`` in tree-relative ones.
        checksum_bin: ``b3sum``, ``md5sum`` or ``sha256sum``; only the first can be pushed.
        trust_links: In a linked tree, take the checksum from the name of the cache's object instead of its content;
            with ``config.stores.verify_copies`` the content is hashed too, and has to agree.

    Raises:
        WalkFailed, UnsafeName, InFluxError, LocalError: the tree cannot be read as it is.
    Cost: about 12 µs a small file, 0.2 s a GiB and hashing thread.
    Cancellation: waits for the files being hashed.
    """
    config = config or Config()
    options = TreeOptions(
        follow=not no_follow,
        absolute=absolute,
        excluded=exclusion(exclude_patterns(exclude)),
        new_hasher=hasher_factory(checksum_bin, config.keyed_context),
        object_roots=_object_roots(config) if trust_links else (),
        trust_links=not config.stores.verify_copies,
    )
    threads = config.limits.hash_threads
    read = partial(snapshot_tree, local_path(path), options, counters or Counters(), hash_threads=threads)
    return await anyio.to_thread.run_sync(read)


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
    """The id of a directory, as ``manifest`` describes it."""
    m = await manifest(
        path,
        no_follow=no_follow,
        absolute=absolute,
        exclude=exclude,
        trust_links=trust_links,
        config=config,
        counters=counters,
    )
    return await anyio.to_thread.run_sync(id_from_manifest, m)


async def stage(
    path: PathLike,
    *,
    no_follow: bool = False,
    exclude: Sequence[str] | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> str:
    """Put a directory's snapshot into the cache and return its id. As ``push`` with the cache as the store."""
    config = config or Config()
    return await push(
        path,
        str(config.cache_dir.absolute()),
        no_follow=no_follow,
        exclude=exclude,
        dry_run=dry_run,
        config=config,
        counters=counters,
    )


async def push(
    path: PathLike,
    store: str,
    *,
    objects_store: str | None = None,
    no_follow: bool = False,
    exclude: Sequence[str] | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> str:
    """Put a directory's snapshot into a store and return its id. See ``transfer.push.push`` for every promise.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Send every object again, whatever the store says it has.
        dry_run: Only find the id; the store is not opened.
    """
    from snapdir.repository.known import KnownSnapshots
    from snapdir.transfer.journal import UploadJournal
    from snapdir.transfer.push import push as push_tree

    config = config or Config()
    counters = counters or Counters()
    refuse_keyed(config)
    program = external_store(store, objects_store)
    if program is not None:
        await anyio.to_thread.run_sync(program.require)
    if program is not None and not dry_run:
        staged = await stage(path, no_follow=no_follow, exclude=exclude, config=config, counters=counters)
        await push_outside(SnapshotId(staged), program, config)
        return staged
    if dry_run:
        StoreURL.parse(store)
        if objects_store is not None:
            refuse_external("a pool of objects", objects_store, store)
        return await id(path, no_follow=no_follow, exclude=exclude, config=config, counters=counters)
    options = TreeOptions(
        follow=not no_follow,
        excluded=exclusion(exclude_patterns(exclude)),
        object_roots=_object_roots(config, store, objects_store),
    )
    async with opened(store, config, objects_store) as to:
        limits = config.limits
        return str(
            await push_tree(
                local_path(path),
                to,
                options=options,
                limits=limits,
                counters=counters,
                known=KnownSnapshots(config.cache_dir, to.place) if to.objects.capabilities.remote else None,
                journal=UploadJournal(config.cache_dir, to.objects.url) if to.objects.capabilities.remote else None,
                recheck=recheck,
            )
        )


async def push_cached(
    snapshot_id: str,
    store: str,
    *,
    objects_store: str | None = None,
    recheck: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> str:
    """Put a snapshot that is in the cache into a store.

    Args:
        objects_store: A pool for the objects; ``store`` then takes the manifest only.
        recheck: Read every object the store has and send those that are wrong again.

    Raises:
        ManifestNotFound: it is not in the cache.
    """
    from snapdir.transfer.object_copy import ObjectCopier
    from snapdir.transfer.sync import StoreSync

    config = config or Config()
    counters = counters or Counters()
    identifier = await full_id(snapshot_id, config)
    program = external_store(store, objects_store)
    async with opened_cache(config) as cache:
        await cached(identifier, cache)
        if program is not None and not dry_run:
            await push_outside(identifier, program, config)
        elif not dry_run:
            async with opened(store, config, objects_store) as to:
                copier = ObjectCopier(cache, to, config.limits, counters, recheck=recheck)
                await StoreSync(cache, to, copier, counters, recheck=recheck).copy(identifier)
    return str(identifier)


def _object_roots(config: Config, *stores: str | None) -> tuple[str, ...]:
    """Directories of this host that hold objects: the cache, and those of ``stores`` that are."""
    urls = [StoreURL.parse(store) for store in stores if store is not None]
    return (str(config.cache_dir.expanduser()), *(str(url.path) for url in urls if url.scheme == "file"))
