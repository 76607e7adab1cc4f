"""Make a directory equal to a snapshot."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import Protection
from snapdir.errors import ungrouped
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.transfer.destination.conflicts import clear_the_way, refuse_conflicts
from snapdir.transfer.destination.linked import link_tree, survey_links
from snapdir.transfer.destination.mirror import leftovers, prune
from snapdir.transfer.destination.survey import Survey, is_empty, survey
from snapdir.transfer.download.cached import require_sound
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.objects import Mend, download
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import is_interruption
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject, TreePlan, plan_tree
from snapdir.transfer.engine.selection import EVERYTHING, Selection

__all__ = ["CheckoutOptions", "checkout"]


class CheckoutOptions(NamedTuple):
    """How a checkout treats its destination.

    Attributes:
        linked: Make links to the objects of a cache on this host instead of files.
        delete: Remove what is not in the snapshot: what is in its way before anything is written, and the rest when
            all of the snapshot is there.
        protected: What ``delete`` leaves alone.
        own_directories: Directories of ours, of which one inside the destination is not taken for something left over.
        overwrite: Replace what differs; otherwise stop before anything is written if something does.
        keep: Leave the temporaries of a failed run where they are.
        preserve_special_modes: Restore set-user-id, set-group-id and sticky bits.
        fsync: Flush the filesystem before success is reported.
        clone: Try reflinks for second copies of a content.
    """

    linked: bool = False
    delete: bool = False
    protected: Protection | None = None
    own_directories: tuple[str, ...] = ()
    overwrite: bool = True
    keep: bool = False
    preserve_special_modes: bool = False
    fsync: bool = True
    clone: bool = True


async def checkout(
    manifest: Manifest,
    source: Repository,
    into: Path,
    *,
    selection: Selection = EVERYTHING,
    options: CheckoutOptions,
    limits: Limits,
    counters: Counters,
    mend: Mend | None = None,
) -> None:
    """Make ``into`` hold every file and directory of a selection of ``manifest``, with its modes.

    What else is there stays, unless ``options.delete``; ``counters.extra`` lists it.

    Files that are right already are not touched. A file appears under its name complete and verified, or not at all. A
    link is made when its object has hashed right, also where the link is there already.

    Args:
        mend: Where ``source`` is a cache: brings objects that it does not hold right.

    Raises:
        UnsafePath: the manifest is hostile; nothing was written.
        DestinationConflict: ``into`` is a file, or something differs and ``options.overwrite`` is off, or something
            that may not be removed is in the way.
        ObjectNotFound, CorruptObject, StoreError: the source cannot give an object.
        LocalError, NoSpace: the destination cannot take it.
    Cancellation: as ``download``; so does a network that fails. What stays is in the staging directory of ``into``.
    """
    selected = await anyio.to_thread.run_sync(selection.counted, manifest, counters)
    plan = await anyio.to_thread.run_sync(
        partial(plan_tree, selected, preserve_special_modes=options.preserve_special_modes)
    )
    if plan.special_modes:
        counters.warnings.append(
            f"{plan.special_modes} file(s) or directories have set-user-id, set-group-id or sticky bits that were not"
            " restored; --preserve-special-modes restores them"
        )
    destination = await anyio.to_thread.run_sync(Destination.open, into)
    with destination:
        try:
            with ungrouped(f"check out {into}"):
                is_new = await anyio.to_thread.run_sync(is_empty, destination)
                await _fill(plan, source, destination, options=options, limits=limits, counters=counters, mend=mend)
                if not is_new and not options.delete:
                    find = partial(leftovers, manifest, selection, destination, own_directories=options.own_directories)
                    counters.extra += await anyio.to_thread.run_sync(partial(find, skip_unreadable=True))
                await anyio.to_thread.run_sync(_finish, plan, destination, options)
                counters.warnings += destination.refused_modes.warnings()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_leave, destination, options.keep, error)
            raise


async def _fill(
    plan: TreePlan,
    source: Repository,
    destination: Destination,
    *,
    options: CheckoutOptions,
    limits: Limits,
    counters: Counters,
    mend: Mend | None,
) -> None:
    if options.linked:
        await require_sound(plan.wanted, source, mend, limits=limits, counters=counters)
        await anyio.to_thread.run_sync(_link, plan, source, destination, options, counters)
    else:
        wanted = await anyio.to_thread.run_sync(_prepare, plan, destination, options, counters)
        sink = DirectorySink(destination, clone=options.clone, keep=options.keep)
        await download(source, wanted, sink, limits=limits, counters=counters, mend=mend)
    if options.delete:
        # While directories are still writable: their modes come last.
        await anyio.to_thread.run_sync(prune, plan, destination, options.protected, counters)


def _link(
    plan: TreePlan, cache: Repository, destination: Destination, options: CheckoutOptions, counters: Counters
) -> None:
    counters.begin("checkout", files=plan.count_files(), bytes_=0)
    missing, found = survey_links(plan, cache, destination, counters)
    _make_room(found, destination, options, counters)
    link_tree(plan, cache, destination, counters, missing)


def _prepare(
    plan: TreePlan, destination: Destination, options: CheckoutOptions, counters: Counters
) -> list[PlannedObject]:
    """Find out what is missing and make the directories. Nothing is written before the survey is done."""
    bytes_ = sum((one.size or 0) * len(one.targets) for one in plan.wanted)
    counters.begin("checkout", files=plan.count_files(), bytes_=bytes_)
    found = survey(plan, destination, counters)
    _make_room(found, destination, options, counters)
    for directory in plan.directories:
        destination.make_directory(directory.names, directory.mode)
    for target in found.wrong_modes:
        destination.set_mode(target.names, target.mode)
    return found.missing


def _make_room(found: Survey, destination: Destination, options: CheckoutOptions, counters: Counters) -> None:
    refuse_conflicts(
        found, destination, overwrite=options.overwrite, delete=options.delete, protected=options.protected
    )
    counters.files_replaced += len(found.differing)
    clear_the_way(found, destination, delete=options.delete, protected=options.protected, counters=counters)


def _finish(plan: TreePlan, destination: Destination, options: CheckoutOptions) -> None:
    # Deepest first: a parent that loses its write bit must not keep its children from getting their modes.
    for directory in sorted(plan.directories, key=lambda target: len(target.names), reverse=True):
        destination.set_mode(directory.names, directory.mode, keep_group_bit=not options.preserve_special_modes)
    if options.fsync:
        destination.sync()
    destination.staging.remove()


def _leave(destination: Destination, keep: bool, error: BaseException) -> None:
    if not keep and is_interruption(error):
        destination.staging.leave()
    elif not destination.staging.remove(keep=keep):
        error.add_note(f"temporary files were kept in {destination.staging.path}")
