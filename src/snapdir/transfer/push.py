"""Store every file of a directory, then the manifest that makes it a snapshot."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread
from anyio.lowlevel import checkpoint

from snapdir.disk.own_locations import OwnLocation
from snapdir.errors import LocalError, ungrouped
from snapdir.hashing.tree import manifest_id
from snapdir.model.digest import SnapshotId
from snapdir.model.source import HashedFile, SourceFile
from snapdir.repository.known import KnownSnapshots
from snapdir.repository.presence import Presence
from snapdir.repository.repository import Repository
from snapdir.stores.batches import flushing
from snapdir.stores.workers import Channel, start_workers
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.publishing import publish
from snapdir.transfer.engine.rehearsal import Rehearsal
from snapdir.transfer.snapshot import TreeReader
from snapdir.transfer.tree_options import TreeOptions
from snapdir.transfer.upload.hashed_batches import HashedBatches
from snapdir.transfer.upload.journal import UploadJournal
from snapdir.transfer.upload.objects import Uploader

if TYPE_CHECKING:
    from random import Random

LARGE_FILES_AT_ONCE = 16
"""Files above 1 MiB that are hashed or sent concurrently: each waits for its upload to begin and to be completed."""


class PushOptions(NamedTuple):
    """Options of a push.

    Attributes:
        tree: How the directory is read.
        recheck: Ignore hints and the objects that the store has: send every object again, and the manifest.
        dry_run: The store takes no writes, and hints stay as they are: see ``rehearse_push``.
    """

    tree: TreeOptions = TreeOptions()
    recheck: bool = False
    dry_run: bool = False


async def push(
    tree: str | os.PathLike[str],
    to: Repository,
    *,
    options: PushOptions,
    limits: Limits,
    counters: Counters,
    known: KnownSnapshots | None = None,
    journal: UploadJournal | None = None,
    random: Random | None = None,
) -> SnapshotId:
    """Store every file of ``tree`` in ``to``, then its manifest, and return its id.

    Walking, hashing, look-ups and uploads overlap. Each distinct content is looked up once and sent once. When
    anything fails, no manifest is written; objects already sent stay, and the next push finds them.

    Args:
        journal: Records uploads in progress, so that the next push can resume them.
        known: Hints of earlier pushes to this store. A hint is used if the store still has its manifest and a sample of
            the objects; otherwise the hints are dropped, and every object is looked up.
        random: Draws that sample.

    Raises:
        WalkFailed, UnsafeName, InFluxError, LocalError: the tree cannot be read, or changes meanwhile.
        StoreError: the store fails; TransferFailed for several failures.
    Cost: one request for a snapshot that is there already and known. Otherwise one to look at the store, one or two per
        object that is not known to be there (more for parts), 16 at most for a sample of those that are, and two for
        the manifest.
    Cancellation: stops within one part of an upload and one block of a file. Uploads in parts stay, with their notes
        in ``journal``, and the next push resumes them. Without a journal they are aborted.
    """
    counters.pushes = True
    with ungrouped(f"push {os.fspath(tree)}"):
        reader = await anyio.to_thread.run_sync(TreeReader, tree, _with_stores(options.tree, to), counters)
        presence = Presence(to, random=random)
        recheck = options.recheck
        uploader = Uploader(to, limits, counters, presence, recheck=recheck, journal=journal)
        learns = not recheck and to.objects.capabilities.remote
        learn = partial(presence.learn, known) if learns else checkpoint
        async with uploader.uploads.counting_kept(reader.root, uploader.part_bytes):
            with closing(reader):
                seen = await _push_files(reader, uploader, limits, learn, counters)
                reader.warn_of_links()
                manifest = await anyio.to_thread.run_sync(reader.manifest)
        identifier = await anyio.to_thread.run_sync(manifest_id, manifest)
        counters.snapshot_files, counters.snapshot_bytes = counters.files_done, counters.bytes_done
        if known is not None and identifier != presence.confirmed and (reason := await presence.disproof()):
            counters.warnings.append(
                f"{to.url}: {reason}; every object was looked up again; check older snapshots with `snapdir verify`"
            )
            if not options.dry_run:
                await anyio.to_thread.run_sync(known.forget)
            again = Counters()
            hints = None if options.dry_run else known
            try:
                return await push(
                    tree, to, options=options, limits=limits, counters=again, known=hints, journal=journal
                )
            finally:
                _add(again, counters)
        if identifier != presence.confirmed:
            # (What it says about a damaged manifest is not true of a dry run.)
            await publish(to, manifest, identifier, Counters() if options.dry_run else counters, replace=recheck)
        else:
            await to.flush()
        await uploader.uploads.sweep(seen)
        if known is not None and not options.dry_run:
            await anyio.to_thread.run_sync(known.remember, identifier, seen, manifest)
        return identifier


async def rehearse_push(
    tree: str | os.PathLike[str],
    to: Repository,
    *,
    options: PushOptions,
    limits: Limits,
    counters: Counters,
    known: KnownSnapshots | None = None,
) -> SnapshotId:
    """Push to ``to`` without writing anything; ``counters`` say what a push would send.

    Every file is hashed, and the store is asked what it has, as in a push. Unfinished uploads count as not begun.
    """
    dry = Rehearsal(to)
    options = options._replace(dry_run=True)
    identifier = await push(tree, dry, options=options, limits=limits, counters=counters, known=known)
    counters.objects_to_send, counters.objects_sent = counters.objects_sent, 0
    counters.bytes_to_send, counters.bytes_sent, counters.bytes_taken = counters.bytes_sent, 0, 0
    counters.requests_to_send += dry.requests
    return identifier


def _with_stores(options: TreeOptions, to: Repository) -> TreeOptions:
    """``options`` with the directories of ``to`` among the own locations."""
    roots = [side.local_path("") for side in (to.store, to.objects)]
    stores = [OwnLocation(str(root), "the store") for root in roots if root is not None]
    # A push sends what it reads, so it remembers nothing yet.
    return options._replace(own_locations=(*options.own_locations, *stores), tree_index=None)


def _add(again: Counters, counters: Counters) -> None:
    """Add the objects that a second push had to send; the first has counted everything else."""
    counters.objects_sent += again.objects_sent
    counters.objects_skipped -= again.objects_sent
    counters.bytes_sent += again.bytes_sent
    counters.bytes_to_send += again.bytes_to_send
    counters.bytes_taken += again.bytes_taken
    counters.kept_objects += again.kept_objects
    counters.kept_bytes += again.kept_bytes
    counters.kept_in = again.kept_in
    counters.warnings += [warning for warning in again.warnings if warning not in counters.warnings]


async def _push_files(
    reader: TreeReader,
    uploader: Uploader,
    limits: Limits,
    learn: Callable[[], Coroutine[Any, Any, None]],
    counters: Counters,
) -> set[str]:
    """Hash and upload every file; the checksums, when all distinct objects are in the store."""
    seen: set[str] = set()
    files_hashed = 0
    small = Channel[HashedFile](8 * limits.batch_files)
    large = Channel[SourceFile](limits.batch_files)

    async def emit(hashed: list[HashedFile], unhashed: list[SourceFile]) -> None:
        nonlocal files_hashed
        files_hashed += len(hashed)
        for source in unhashed:
            uploader.require_fit(source)
        for file in hashed:
            if file.checksum in seen:
                counters.settle(file.source.content_bytes)
            else:
                seen.add(file.checksum)
                await uploader.memory.acquire(len(file.data or b""))
                await small.put(file)
        for source in unhashed:
            await large.put(source)
        uploader.list_if_it_pays(group, reader.files_found - files_hashed)

    async def push_large(source: SourceFile) -> None:
        nonlocal files_hashed
        try:
            reader.add([await uploader.push_large(source, seen)])
            files_hashed += 1
        except LocalError as error:
            if error.path != source.file:
                raise  # the store's own disk
            reader.note_unreadable(error)

    async def learn_and_push() -> None:
        await learn()  # while the first files are being hashed
        start_workers(group, small, uploader.push_small, workers=uploader.workers)
        start_workers(group, large, push_large, workers=LARGE_FILES_AT_ONCE)

    async with flushing(uploader.batch), anyio.create_task_group() as group:
        group.start_soon(learn_and_push)
        async for hashed, unhashed in HashedBatches(reader, limits.batch_files, store=uploader.batch_storer(seen)):
            await emit(hashed, unhashed)
        small.close()
        large.close()
    return seen
