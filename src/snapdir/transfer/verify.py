"""Check that a repository holds the objects that its manifests name."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import CorruptObject, ObjectNotFound, SnapdirError, StoreMissing, ungrouped
from snapdir.model.digest import ID_DIGITS, Digest
from snapdir.model.keys import OBJECTS, digest_of_key, incomplete_key, manifest_key, object_key
from snapdir.repository.cache import find_incomplete, held_manifest
from snapdir.repository.repository import Repository
from snapdir.stores.workers import start_workers
from snapdir.transfer.download.local_objects import find_unsound
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import Part
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.engine.planned_objects import PlannedObject, PlannedObjects, planned_objects
from snapdir.transfer.engine.ranges import RangeReader
from snapdir.transfer.engine.reports import CacheReport, Damage, SnapshotReport
from snapdir.transfer.engine.true_size import with_true_size

LARGE_OBJECTS_AT_ONCE = 4


async def check_snapshot(
    snapshot_id: Digest, source: Repository, *, limits: Limits, counters: Counters
) -> SnapshotReport:
    """Read and hash every object of a snapshot; nothing is written anywhere.

    Raises:
        ManifestNotFound, CorruptManifest, InvalidManifest: the manifest itself.
        StoreError: the store fails.
    Cost: as a pull, without the writes.
    """
    manifest = await source.read_manifest(snapshot_id)
    objects = plan_objects(manifest)
    damaged = await find_damage(objects, source, limits=limits, counters=counters)
    damage = tuple(Damage(planned.digest, planned.path, error) for planned, error in damaged)
    return SnapshotReport(snapshot_id, source.url, len(objects), counters.bytes_done, damage)


async def find_damage(
    objects: Sequence[PlannedObject], source: Repository, *, limits: Limits, counters: Counters
) -> list[tuple[PlannedObject, SnapdirError]]:
    """Read and hash ``objects``; those that are missing or wrong, with the reason, in the order given.

    Raises:
        StoreError: the store fails, which says nothing about an object.
    """
    counters.begin_objects("verify", objects)
    memory = ByteBudget(limits.memory_bytes)
    ranges = RangeReader(source, limits, counters, memory=memory)
    errors: dict[Digest, SnapdirError] = {}

    async def check(planned: PlannedObject) -> None:
        async def read(size: int) -> None:
            if size > limits.large_bytes:
                await ranges.read_verified(planned.digest, size, _ignore)
            else:
                async with memory.share(size):
                    await source.read_object(planned.digest, size)
                counters.bytes_done += size

        try:
            await with_true_size(source, planned, read)
        except (ObjectNotFound, CorruptObject) as error:
            error.add_note(f"needed by {planned.path}")
            errors[planned.digest] = error
        counters.files_done += 1

    small, other = planned_objects(objects).parted(
        lambda planned: planned.size is not None and planned.size <= limits.large_bytes
    )
    with ungrouped(f"verify {source.url}"):
        async with anyio.create_task_group() as group:
            start_workers(group, small, check, workers=limits.workers(source.objects))
            start_workers(group, other, check, workers=LARGE_OBJECTS_AT_ONCE)
    return [(planned, errors[planned.digest]) for planned in objects if planned.digest in errors]


async def _ignore(part: Part, data: memoryview) -> None:
    """Drop the bytes: only their hash is needed."""


class _Need(NamedTuple):
    """The use of an object in a cache: a path, and the snapshot that has it."""

    path: str
    snapshot_id: Digest


async def check_cache(
    cache: Repository, snapshot_id: Digest | None, *, purge: bool, limits: Limits, counters: Counters
) -> CacheReport:
    """Hash every cached object, and look for those that cached manifests name (or the one of ``snapshot_id``).

    Args:
        purge: Remove corrupt objects and manifests. They do not count as missing then.

    Raises:
        ManifestNotFound: ``snapshot_id`` is not cached.
    Cost: 20 µs per small object, 0.3 s per GiB and hashing thread.
    """
    named: dict[Digest, _Need] = {}
    damaged: dict[Digest, str] = {}  # snapshots, and the keys of their manifests
    for identifier in await _cached_snapshots(cache) if snapshot_id is None else [snapshot_id]:
        held = await held_manifest(identifier, cache)
        if held.damage is not None:
            damaged[identifier] = manifest_key(identifier)
            continue
        for entry in held.require(identifier).files:
            named.setdefault(entry.digest, _Need(entry.path, identifier))
    for identifier in await _incomplete_snapshots(cache) if snapshot_id is None else []:
        if (await held_manifest(identifier, cache, incomplete=True)).damage is not None:
            damaged.setdefault(identifier, incomplete_key(identifier))
    stored = await _stored_objects(cache)
    objects = PlannedObjects(
        PlannedObject(digest, size, named[digest].path if digest in named else "no cached snapshot")
        for digest, size in sorted(stored.items())
    )
    unsound = await find_unsound(objects, cache, limits=limits, counters=counters)
    corrupt = tuple(planned.digest for planned, _ in unsound)
    if purge:
        await cache.store.delete([*map(object_key, corrupt), *damaged.values()])
    missing = tuple((digest, need.path) for digest, need in sorted(named.items()) if digest not in stored)
    if not purge:
        return CacheReport(corrupt, missing, (), tuple(damaged))
    if snapshot_id is not None:
        named = await _needs(set(corrupt) - named.keys(), cache) | named
    needed = tuple((digest, *named[digest]) for digest in corrupt if digest in named)
    return CacheReport(corrupt, missing, (*corrupt, *damaged), tuple(damaged), needed)


async def _needs(digests: Set[Digest], cache: Repository) -> dict[Digest, _Need]:
    """Why the cache needs those of ``digests`` that cached snapshots name."""
    needs: dict[Digest, _Need] = {}
    for identifier in await _cached_snapshots(cache) if digests else []:
        manifest = (await held_manifest(identifier, cache)).manifest
        for entry in [] if manifest is None else manifest.files:
            if entry.digest in digests:
                needs.setdefault(entry.digest, _Need(entry.path, identifier))
    return needs


# A cache that was never made is a StoreMissing, and an empty one.


async def _cached_snapshots(cache: Repository) -> list[Digest]:
    with suppress(StoreMissing):
        return sorted([published.snapshot_id async for published in cache.list_published()])
    return []


async def _incomplete_snapshots(cache: Repository) -> list[Digest]:
    with suppress(StoreMissing):
        return [Digest(name) for name in await find_incomplete("", cache) if len(name) == ID_DIGITS]
    return []


async def _stored_objects(cache: Repository) -> dict[Digest, int]:
    """The size of every object of the cache."""
    sizes: dict[Digest, int] = {}
    with suppress(StoreMissing):
        async for page in cache.objects.list(OBJECTS):
            for info in page:
                digest = digest_of_key(info.key, OBJECTS)
                if digest is not None:
                    sizes[digest] = info.size
    return sizes
