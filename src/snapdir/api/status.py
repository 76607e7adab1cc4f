"""Compare a directory with its last known snapshot: status."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio.to_thread

from snapdir.api.manifest import manifest_of, read_tree
from snapdir.api.resolve import Ref, selection_of
from snapdir.api.stores import PathLike, StorePair, local_path
from snapdir.api.tree_options import TreeArguments, ignore_rules, tree_options
from snapdir.config import Config
from snapdir.disk.directory_record import DirectoryRecord, read_record
from snapdir.errors import HIDDEN, ManifestNotFound, NotCheckedOut, local_errors
from snapdir.model.arguments import checked
from snapdir.model.ignoring import IgnoreRules
from snapdir.model.manifest import Manifest
from snapdir.stores.urls import store_text
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.transfer.engine.selection import Selection
    from snapdir.transfer.status import Differences


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A directory, compared with a snapshot.

    Attributes:
        directory: The real path of the directory.
        id: The id of the snapshot.
        store: The URL of the store that the snapshot was pulled from or pushed to; None if it is in the cache only.
        partial: The options that selected a part of the snapshot; empty for all of it.
        modified: Files with different content or another mode, and directories with another mode.
        missing: Files and directories of the snapshot that are not in the directory.
        extra: Files and directories that are not in the snapshot. A partial checkout is compared with its part only.
        source: Why it is this snapshot: the last ``checkout``, ``push`` or ``stage`` of the directory; ``id`` if it was
            named.
        recorded_at: Time of that, UTC, ``YYYY-MM-DD HH:MM:SS``; None for ``id``.
    """

    directory: str
    id: str
    store: str | None
    partial: str
    modified: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    source: Literal["checkout", "push", "stage", "id"] = "id"
    recorded_at: str | None = None

    @property
    def clean(self) -> bool:
        return not (self.modified or self.missing or self.extra)


@checked
async def status(
    directory: PathLike,
    *,
    id: str | None = None,
    store: PathLike | None = None,
    ignore: Sequence[str] | None = None,
    ignore_from: Sequence[PathLike] | None = None,
    dereference: bool = False,
    rehash: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> StatusReport:
    """Compare a directory with its last known snapshot, or with any other.

    That is the one of the last checkout, push or stage, whichever came last. After a push or stage the directory is
    read with the options of then. The manifest comes from the cache, else from the store.

    Args:
        id: Compare with all of this snapshot instead.
        store: Where to read its manifest if it is not in the cache.
        ignore, ignore_from: Rules as for ``manifest``: ignored paths are not compared.
        rehash: Read every file, also those that the index of the cache remembers.
        dereference: Compare what links lead to, with its mode; otherwise links as they are, except after a push.

    Raises:
        NotCheckedOut: no ``id`` is given, and the cache has no record of this directory.
        ManifestNotFound: neither the cache nor the store has the snapshot.
        LocalError: the directory cannot be read.
    Cost: hashes every file with the right size and mode; after a push or stage, every file.
    """
    from snapdir.hashing.tree import manifest_id

    config, counters = config or Config(), counters or Counters()
    place = local_path(directory)
    named = None if store is None else store_text(store)
    record = await anyio.to_thread.run_sync(_record, place, id, named, config)
    rules = await ignore_rules([*record.ignored, *await _rules(ignore, ignore_from)], None)
    record = record._replace(dereference=dereference or record.dereference)
    manifest = await _manifest(record, config, counters)
    found = await _differences(record, manifest, rules, place, rehash=rehash, config=config, counters=counters)
    return StatusReport(
        record.directory,
        str(await anyio.to_thread.run_sync(manifest_id, manifest)),
        record.store,
        str(_selection(record)),
        tuple(found.modified),
        tuple(found.missing),
        tuple(found.extra),
        "id" if id is not None else record.source,
        record.recorded_at or None,
    )


async def _rules(ignore: Sequence[str] | None, ignore_from: Sequence[PathLike] | None) -> Sequence[str]:
    rules = await ignore_rules(ignore, ignore_from)
    return () if rules is None else rules.rules


async def _manifest(record: DirectoryRecord, config: Config, counters: Counters) -> Manifest:
    ref = Ref(record.snapshot_id, snapshot_id=record.snapshot_id)
    # The record keeps a URL without its credentials, which opens nothing.
    is_cut = record.store is not None and HIDDEN in record.store and not record.store.startswith("file://")
    try:
        return await manifest_of(ref, store=None if is_cut else record.store, config=config, counters=counters)
    except ManifestNotFound as error:
        if is_cut:
            error.add_note(f"the credentials of {record.store} are not saved: pass --id and --store")
        raise


async def _differences(
    record: DirectoryRecord,
    manifest: Manifest,
    rules: IgnoreRules | None,
    place: str,
    *,
    rehash: bool,
    config: Config,
    counters: Counters,
) -> Differences:
    """As a checkout left the directory; or as a push or ``dereference`` reads it."""
    from snapdir.transfer.status import directory_differences, tree_differences

    if record.source == "checkout" and not record.dereference:
        compare = partial(directory_differences, manifest, _selection(record), Path(place), counters, ignored=rules)
        hashers, files = config.limits.hashers, config.limits.max_open_files
        return await anyio.to_thread.run_sync(partial(compare, hash_threads=hashers, max_open_files=files))
    given = TreeArguments(
        exclude=record.excluded,
        ignore=rules.rules if rules is not None else None,
        no_follow=not record.follow,
        dereference=record.dereference,
        rehash=rehash,
    )
    options = await tree_options(given, config, StorePair())
    present = await read_tree(place, options, config, counters)
    found = await anyio.to_thread.run_sync(tree_differences, manifest, present, rules)
    if record.dereference or await anyio.to_thread.run_sync(os.path.islink, place.rstrip("/")) == record.is_link:
        return found
    # One of the two modes of the root is that of a link to it.
    return found._replace(modified=tuple(path for path in found.modified if path != "./"))


def _selection(record: DirectoryRecord) -> Selection:
    return selection_of(record.include, record.exclude, record.shard)


def _record(place: str, snapshot_id: str | None, store: str | None, config: Config) -> DirectoryRecord:
    """The whole snapshot that was named, or the one that the cache remembers."""
    real = os.path.realpath(place)
    if snapshot_id is not None:
        return DirectoryRecord(real, snapshot_id, store, None, (), (), None, "")
    record = read_record(config.cache_dir, place)
    if record is None:
        with local_errors(real):
            os.stat(real)  # a directory that does not exist is its own error
        raise NotCheckedOut(real)
    return record
