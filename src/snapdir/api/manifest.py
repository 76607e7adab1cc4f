"""The content of a directory or a snapshot: manifest, id, manifest_of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio.to_thread

from snapdir.api.recording import Publication
from snapdir.api.resolve import Ref, full_id, not_a_ref, parse_ref
from snapdir.api.stores import (
    PathLike,
    StorePair,
    local_path,
    opened,
    opened_cache,
    opened_or_none,
    parse_stores,
)
from snapdir.api.tree_options import PLAIN, TreeArguments, tree_options
from snapdir.catalog.locations import directory_location
from snapdir.config import Config
from snapdir.errors import ManifestNotFound, SnapdirError
from snapdir.hashing.tree import manifest_id
from snapdir.model.arguments import checked
from snapdir.model.manifest import Manifest
from snapdir.model.tags import is_name
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.snapshot import snapshot_tree, tree_id
from snapdir.transfer.tree_options import TreeOptions


@checked
def id_from_manifest(m: Manifest) -> str:
    """The id of the snapshot that ``m`` describes."""
    return str(manifest_id(m))


@checked
async def manifest(
    path: PathLike,
    *,
    no_follow: bool = False,
    dereference: bool = False,
    absolute: bool = False,
    exclude: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    ignore_from: Sequence[PathLike] | None = None,
    checksum_bin: str = "b3sum",
    trust_links: bool = False,
    rehash: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
    announce: Callable[[Manifest], None] | None = None,
) -> Manifest:
    """The manifest of a directory, which is walked and hashed.

    Args:
        no_follow: Leave symbolic links out instead of following them.
        dereference: List a followed link with the mode and size of what it leads to, as a pulled copy of it has them;
            otherwise with its own, as the reference does.
        absolute: List absolute paths.
        exclude: RE2 patterns, searched in absolute paths; patterns that start with ``./``, in relative paths.
        ignore: Rules of a ``.gitignore``, for paths in the directory. An ignored directory is not read.
        ignore_from: Files of such rules, which come before those of ``ignore``.
        counters: ``left_out`` lists the entries that are not in the manifest; ``warnings`` counts them in one line.
        checksum_bin: ``b3sum``, ``md5sum`` or ``sha256sum``; only the first can be pushed.
        trust_links: In a linked tree, take the checksum from the name of the cache's object instead of its content;
            with ``config.stores.verify_copies`` the content is hashed too, and has to agree.
        rehash: Read every file. Otherwise files that are as they were in an earlier run (name, size, mode, inode, mtime
            and ctime) are not read: see ``config.index_bytes``.
        announce: As in ``push``. (The manifest is recorded if ``config`` has a catalog.)

    Raises:
        WalkFailed, UnsafeName, InFluxError, LocalError: the directory cannot be read, or changes meanwhile.
        SnapdirError: a pattern matches the path of the directory itself, or patterns and rules leave no file.
        InvalidOption: a rule is invalid; the message names it and the reason.
    Cost: about 12 µs per small file, 0.2 s per GiB and hashing thread.
    Cancellation: within one block of the files being hashed.
    """
    config, counters = config or Config(), counters or Counters()
    given = TreeArguments(exclude, ignore, ignore_from, no_follow, dereference, rehash)
    options = await tree_options(given, config, absolute=absolute, trust_links=trust_links, checksum_bin=checksum_bin)
    described = await read_tree(path, options, config, counters)
    publication = Publication(config, counters, announce)
    if config.catalog is None:
        await publication.tell(described)
    else:
        identifier = await anyio.to_thread.run_sync(id_from_manifest, described)
        location = await anyio.to_thread.run_sync(directory_location, local_path(path))
        await publication.complete(described, "manifest", identifier, location)
    return described


@checked
async def id(
    path: PathLike,
    *,
    no_follow: bool = False,
    dereference: bool = False,
    absolute: bool = False,
    exclude: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    ignore_from: Sequence[PathLike] | None = None,
    trust_links: bool = False,
    rehash: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> str:
    """The id of a directory. Arguments and errors as for ``manifest``. Nothing is recorded."""
    config = config or Config()
    given = TreeArguments(exclude, ignore, ignore_from, no_follow, dereference, rehash)
    options = await tree_options(given, config, absolute=absolute, trust_links=trust_links)
    read = partial(tree_id, local_path(path), options, counters or Counters(), limits=config.limits)
    return str(await anyio.to_thread.run_sync(read))


async def read_tree(path: PathLike, options: TreeOptions, config: Config, counters: Counters) -> Manifest:
    read = partial(snapshot_tree, local_path(path), options, counters, limits=config.limits)
    return await anyio.to_thread.run_sync(read)


@checked
async def manifest_of(
    ref: PathLike | Ref,
    *,
    store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Manifest:
    """The manifest of one snapshot.

    Args:
        ref: ``STORE@ID``, an id, or a directory, which is hashed; nothing is recorded.
        store: Where to look for an id that is not in the cache.

    Raises:
        SnapdirError: ``ref`` is a store without an id.
        ManifestNotFound: the snapshot does not exist.
    """
    config, counters = config or Config(), counters or Counters()
    parsed = ref if isinstance(ref, Ref) else await anyio.to_thread.run_sync(parse_ref, ref)
    if parsed.is_whole_store:
        raise SnapdirError(f"{parsed.typed} is a store: name one of its snapshots, {parsed.typed}@ID")
    (manifest,) = await manifests_of(parsed, await parse_stores(store), config, counters)
    return manifest


async def manifests_of(
    ref: Ref, stores: StorePair, config: Config, counters: Counters, *, tree: TreeArguments = PLAIN
) -> list[Manifest]:
    """All manifests of a ref; those of a whole store by date, the oldest first.

    Args:
        stores: Where to look for an id that is not in the cache.
        tree: How a directory is read.
    """
    from snapdir.transfer.comparing.manifests import read_manifests

    if ref.directory is not None:
        unrecorded = replace(config, catalog=None)  # reading a directory to show it is not recorded
        return [await manifest(ref.directory, **tree._asdict(), config=unrecorded, counters=counters)]
    if ref.snapshot_id is None:
        async with opened(StorePair(ref.store), config) as source:
            return await read_manifests(source, lambda _, manifest: manifest, limits=config.limits)
    if ref.store is not None:
        async with opened(StorePair(ref.store), config) as source:
            identifier = await full_id(ref.snapshot_id, config, source, counters=counters)
            return [await source.read_manifest(identifier)]
    return [await _of_cache_or_store(ref.snapshot_id, stores, config, counters)]


async def _of_cache_or_store(snapshot_id: str, stores: StorePair, config: Config, counters: Counters) -> Manifest:
    from snapdir.repository.cache import held_manifest, mend_manifest

    if stores.url is None and is_name(snapshot_id):
        raise not_a_ref(snapshot_id)
    async with opened_or_none(stores, config) as source, opened_cache(config) as cache:
        identifier = await full_id(snapshot_id, config, source, counters=counters)
        held = await held_manifest(identifier, cache, incomplete=True)
        if held.manifest is not None:
            return held.manifest
        if source is None:
            error = held.damage or ManifestNotFound(identifier, "the local cache")
            error.add_note("use --store to look it up in a store")
            raise error
        manifest = await source.read_manifest(identifier)
        if held.damage is not None:
            counters.warnings.append(await mend_manifest(manifest, identifier, cache, held))
        return manifest
