"""Differences and sizes of snapshots: diff, size. Only manifests are read, no objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal

import anyio.to_thread

from snapdir.api.manifest import manifest_of, manifests_of
from snapdir.api.resolve import Ref, full_id, parse_ref
from snapdir.api.stores import PathLike, StorePair, opened, parse_stores
from snapdir.api.tree_options import TreeArguments, ignore_rules
from snapdir.config import Config
from snapdir.errors import ManifestNotFound, NothingPushed, UnknownName, without_secrets
from snapdir.model.arguments import checked
from snapdir.model.manifest import Manifest
from snapdir.stores.urls import StoreUri, StoreURL, store_text
from snapdir.transfer.comparing.diff import DiffEntry
from snapdir.transfer.comparing.sizes import SizeStats, measure
from snapdir.transfer.engine.events import Counters


class DiffOptions:
    """The two sides of a ``diff``; create them with ``from_refs``."""

    def __init__(self, before: Sequence[PathLike], after: Sequence[PathLike]) -> None:
        self.before = tuple(before)
        self.after = tuple(after)

    @classmethod
    @checked
    def from_refs(cls, from_: Iterable[PathLike], to: Iterable[PathLike]) -> DiffOptions:
        """Two sides from their refs. The snapshots of one side are taken together; see ``diff``.

        Raises:
            InvalidStore: a ref has an unknown scheme.
        """
        return cls([_checked(ref) for ref in from_], [_checked(ref) for ref in to])


def _checked(ref: PathLike) -> str:
    ref = store_text(ref)
    return ref if isinstance(ref, StoreUri) or "://" not in ref else str(StoreUri(ref))


@checked
async def diff(
    opts: DiffOptions | PathLike,
    after: PathLike | None = None,
    *,
    id: str | None = None,
    store: PathLike | None = None,
    unchanged: bool = False,
    renames: bool = False,
    on_conflict: Literal["error", "last-wins"] = "error",
    ignore: Sequence[str] | None = None,
    ignore_from: Sequence[PathLike] | None = None,
    dereference: bool = False,
    rehash: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> list[DiffEntry]:
    """List the files that were added, deleted and modified between two sides, sorted by path.

    ::

        await snapdir.diff(old_id, "dataset", store="s3://bucket/sets")
        await snapdir.diff(f"s3://bucket/sets@{old_id}", f"s3://bucket/sets@{new_id}")

    A ref is a store (all its snapshots), ``STORE@ID``, an id, or another directory, which is hashed. A StoreUri is
    always a store. Of a store, only manifests are read.

    Args:
        opts: The first ref, or the sides of several refs; see ``DiffOptions``.
        after: The second ref.
        id: Of each store that has this snapshot, compare only that; at least one store must have it.
        store: Where to look for an id that is not in the cache.
        unchanged: List unchanged files too (``=``).
        renames: List a deleted and an added file of the same content as one renamed file (``R``).
        on_conflict: What to do if snapshots of one side have different content for a path: ``error``, or ``last-wins``,
            which takes the last ref and, in a store, the snapshot that was stored last.
        ignore, ignore_from: Rules as for ``manifest``: ignored paths are not compared, also those of a snapshot.
        dereference: In a directory, list what links lead to; as for ``manifest``.
        rehash: Read every file of a directory, also those that the index of the cache remembers.

    Raises:
        SideConflict: see ``on_conflict``.
        ManifestNotFound: a snapshot does not exist.
    """
    config, counters = config or Config(), counters or Counters()
    stores = await parse_stores(store)
    rules = await ignore_rules(ignore, ignore_from)
    tree = TreeArguments(ignore=rules.rules if rules else None, dereference=dereference, rehash=rehash)
    sides = [await anyio.to_thread.run_sync(_parsed, refs) for refs in _sides(opts, after)]
    pinned = await _pinned([ref for refs in sides for ref in refs], id, config, counters) if id is not None else {}
    compared: list[list[Manifest]] = []
    for refs in sides:
        manifests: list[Manifest] = []
        for ref in refs:
            known = pinned.get(ref.store) if ref.is_whole_store and ref.store else None
            if known is None:
                manifests += await manifests_of(ref, stores, config, counters, tree=tree)
            else:
                manifests.append(known)
        if rules is not None:
            manifests = [await anyio.to_thread.run_sync(rules.without_ignored, each) for each in manifests]
        compared.append(manifests)
    left, right = compared
    return await anyio.to_thread.run_sync(
        partial(_compared, left, right, unchanged=unchanged, renames=renames, last_wins=on_conflict == "last-wins")
    )


def _sides(opts: DiffOptions | PathLike, after: PathLike | None) -> tuple[Iterable[PathLike], Iterable[PathLike]]:
    if isinstance(opts, DiffOptions):
        if after is not None:
            raise TypeError("diff takes two refs, or one DiffOptions")
        return opts.before, opts.after
    if after is None:
        raise TypeError("diff takes two refs: diff(before, after)")
    return [opts], [after]


def _parsed(refs: Iterable[PathLike]) -> list[Ref]:
    return [parse_ref(ref, verb="sync") for ref in refs]  # the word of the reference


async def _pinned(
    refs: Iterable[Ref], snapshot_id: str, config: Config, counters: Counters
) -> dict[StoreURL, Manifest]:
    """The snapshot of every store that has it.

    Raises:
        ManifestNotFound: no store has it.
    """
    stores = dict.fromkeys(ref.store for ref in refs if ref.is_whole_store and ref.store)
    pinned: dict[StoreURL, Manifest] = {}
    for store in stores:
        async with opened(StorePair(store), config) as source:
            try:
                identifier = await full_id(snapshot_id, config, source, counters=counters)
                pinned[store] = await source.read_manifest(identifier)
            except (ManifestNotFound, NothingPushed, UnknownName):
                continue
    if not pinned:
        raise ManifestNotFound(snapshot_id, " or ".join(map(str, stores)) or "a store of --from or --to")
    counters.warnings += [
        f"{without_secrets(str(store))} has no snapshot {snapshot_id}: all its snapshots are compared"
        for store in stores
        if store not in pinned
    ]
    return pinned


def _compared(
    before: list[Manifest], after: list[Manifest], *, unchanged: bool, renames: bool, last_wins: bool
) -> list[DiffEntry]:
    from snapdir.transfer.comparing.diff import compare, union, with_renames

    left, right = union(before, side="from", last_wins=last_wins), union(after, side="to", last_wins=last_wins)
    found = compare(left, right, unchanged=unchanged)
    return with_renames(found) if renames else list(found)


@checked
def manifest_size(m: Manifest) -> SizeStats:
    """Count the files, distinct contents and bytes of one manifest."""
    return measure([m])


@checked
async def size(
    store: PathLike,
    id: str | None = None,
    *,
    id_store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> SizeStats:
    """Count the files, distinct contents and bytes of one snapshot of a store, or of all. Only manifests are read.

    Args:
        store: A store, or any other ref (see ``diff``).
        id: One snapshot of the store; None counts all.
        id_store: Where to look for an id that is not in the cache.
    """
    from snapdir.transfer.comparing.manifests import read_manifests
    from snapdir.transfer.comparing.sizes import Measure

    config, counters = config or Config(), counters or Counters()
    ref = await anyio.to_thread.run_sync(parse_ref, store)
    if not ref.is_whole_store:
        manifest = await manifest_of(ref, store=id_store, config=config, counters=counters)
        return await anyio.to_thread.run_sync(manifest_size, manifest)
    async with opened(StorePair(ref.store), config) as source:
        if id is not None:
            identifier = await full_id(id, config, source, counters=counters)
            return measure([await source.read_manifest(identifier)])
        total = Measure()
        await read_manifests(source, lambda _, m: total.add(m), limits=config.limits)
    return total.stats
