"""Compare a directory with the snapshot that was checked out into it: status."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from snapdir.api.manifest import manifest_of
from snapdir.api.resolve import Ref, selection_of
from snapdir.api.stores import PathLike, local_path
from snapdir.config import Config
from snapdir.disk.checkout_record import CheckoutRecord, read_record
from snapdir.errors import HIDDEN, ManifestNotFound, NotCheckedOut, local_errors
from snapdir.transfer.engine.events import Counters


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A directory, compared with the snapshot that was checked out into it.

    Attributes:
        directory: The real path of the directory.
        id: The id of the snapshot.
        store: The URL of the store that the snapshot was pulled from; None if it came from the cache.
        partial: The options that selected a part of the snapshot; empty for all of it.
        modified: Files with different content or another mode, and directories with another mode.
        missing: Files and directories of the snapshot that are not in the directory.
        extra: Files and directories that are not in the snapshot. A partial checkout is compared with its part only.
    """

    directory: str
    id: str
    store: str | None
    partial: str
    modified: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.modified or self.missing or self.extra)


async def status(
    directory: PathLike,
    *,
    id: str | None = None,
    store: str | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> StatusReport:
    """Compare a directory with the snapshot that was last checked out into it, or with any other.

    The manifest comes from the cache, else from the store that the checkout came from.

    Args:
        id: Compare with all of this snapshot instead.
        store: Where to read its manifest if it is not in the cache.

    Raises:
        NotCheckedOut: no ``id`` is given, and the cache has no record of a checkout into this directory.
        ManifestNotFound: neither the cache nor the store has the snapshot.
        LocalError: the directory cannot be read.
    Cost: hashes every file with the right size and mode.
    """
    from snapdir.hashing.tree import manifest_id
    from snapdir.transfer.status import directory_differences

    config, counters = config or Config(), counters or Counters()
    place = local_path(directory)
    record = await anyio.to_thread.run_sync(_record, place, id, store, config)
    ref = Ref(record.snapshot_id, snapshot_id=record.snapshot_id)
    # The record keeps a URL without its credentials, which opens nothing.
    is_cut = record.store is not None and HIDDEN in record.store and not record.store.startswith("file://")
    store = None if is_cut else record.store
    try:
        manifest = await manifest_of(ref, store=store, config=config, counters=counters)
    except ManifestNotFound as error:
        if is_cut:
            error.add_note(f"the credentials of {record.store} are not saved: pass --id and --store")
        raise
    selection = selection_of(record.include, record.exclude, record.shard)
    differences = await anyio.to_thread.run_sync(
        partial(directory_differences, manifest, selection, Path(place), counters, hash_threads=config.limits.hashers)
    )
    return StatusReport(
        record.directory,
        str(await anyio.to_thread.run_sync(manifest_id, manifest)),
        record.store,
        str(selection),
        tuple(differences.modified),
        tuple(differences.missing),
        tuple(differences.extra),
    )


def _record(place: str, snapshot_id: str | None, store: str | None, config: Config) -> CheckoutRecord:
    """The whole snapshot that was named, or the checkout that the cache remembers."""
    real = os.path.realpath(place)
    if snapshot_id is not None:
        return CheckoutRecord(real, snapshot_id, store, None, (), (), None, "")
    record = read_record(config.cache_dir, place)
    if record is None:
        with local_errors(real):
            os.stat(real)  # a directory that does not exist is its own error
        raise NotCheckedOut(real)
    return record
