"""Write a snapshot into a directory, or list the changes that this would make."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio.to_thread

from snapdir.disk.destination import Destination
from snapdir.errors import DestinationConflict, LocalError, ungrouped
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.transfer.destination.conflicts import clear_the_way, refuse_conflicts
from snapdir.transfer.destination.linked import link_tree
from snapdir.transfer.destination.meant_file import open_destination
from snapdir.transfer.destination.mirror import find_prunable, leftovers, prune
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.destination.survey import Survey, is_empty, survey_files, survey_links
from snapdir.transfer.download.held_objects import HeldObjects, copy_held
from snapdir.transfer.download.kept_copies import KeptCopies, makes_reflinks
from snapdir.transfer.download.local_objects import Mend, require_sound
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.objects import download
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import is_interruption
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import TreePlan, plan_tree
from snapdir.transfer.engine.planned_objects import PlannedObject

MAX_REPLACED_NAMED = 4
"""Of replaced files: one more than a message names."""


async def checkout(
    manifest: Manifest,
    source: Repository,
    into: Path,
    *,
    options: CheckoutOptions,
    limits: Limits,
    counters: Counters,
    mend: Mend | None = None,
    held: HeldObjects | None = None,
    kept: KeptCopies | None = None,
) -> None:
    """Make ``into`` hold every selected file and directory of ``manifest``, with its modes.

    Other paths there stay, unless ``options.delete``. Files that are right already are not touched. A file appears
    under its name complete and verified, or not at all. Links are made when the objects have hashed right, and links
    that are there already are checked in the same way.

    Args:
        mend: If ``source`` is a cache: fetches objects that are damaged or missing there.
        held: Objects of a cache, which are copied from there.
        kept: Gets a copy of each object from ``source``, if the filesystem of ``into`` makes reflinks.

    Raises:
        UnsafePath: the manifest is hostile; nothing was written.
        DestinationConflict: ``into`` is a file, or something differs and ``options.overwrite`` is off, or something
            that may not be removed is in the way.
        ObjectNotFound, CorruptObject, StoreError: an object is missing or damaged, or the source fails.
        LocalError, NoSpace: the destination cannot be written.
    Cancellation: as ``download``, also when the network fails. The rest stays in the staging directory of ``into``.
    """
    selected = await anyio.to_thread.run_sync(options.selection.counted, manifest, counters)
    plan = await anyio.to_thread.run_sync(
        partial(plan_tree, selected, preserve_special_modes=options.preserve_special_modes)
    )
    counters.snapshot_files, counters.snapshot_bytes = plan.count_files(), plan.count_bytes()
    if plan.special_modes:
        counters.warnings.append(
            f"{plan.special_modes} file(s) or directories have set-user-id, set-group-id or sticky bits that were not"
            " restored; --preserve-special-modes restores them"
        )
    opening = partial(open_destination, manifest, into, counters, max_open_files=limits.max_open_files)
    destination = await anyio.to_thread.run_sync(opening)
    with destination:
        try:
            with ungrouped(f"check out {into}"):
                is_new = await anyio.to_thread.run_sync(is_empty, destination)
                await _fill(
                    plan,
                    source,
                    destination,
                    options=options,
                    limits=limits,
                    counters=counters,
                    mend=mend,
                    held=held,
                    kept=kept,
                )
                if not is_new and not options.delete:
                    counters.extra += await anyio.to_thread.run_sync(leftovers, manifest, options, destination)
                await anyio.to_thread.run_sync(_finish, plan, destination, options)
                counters.warnings += destination.refused_modes.warnings()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_leave, destination, options.keep, error)
            raise


def rehearse_checkout(
    manifest: Manifest, cache: Repository, into: Path, *, options: CheckoutOptions, limits: Limits, counters: Counters
) -> Sequence[PlannedObject]:
    """Count in ``counters`` what a checkout would write, list the paths that it would replace, remove and leave, and
    fail if it would fail.

    Blocking; nothing is written.

    Args:
        cache: The cache that the links of ``options.linked`` lead to.

    Returns:
        The objects that it would read.

    Raises:
        UnsafePath, DestinationConflict: as ``checkout``.
        LocalError: a directory cannot be read.
    Cost: every file of the snapshot that is there is hashed.
    """
    selected = options.selection.counted(manifest, counters)
    plan = plan_tree(selected, preserve_special_modes=options.preserve_special_modes)
    counters.snapshot_files, counters.snapshot_bytes = plan.count_files(), plan.count_bytes()
    survey = _rehearsed_survey(plan, manifest, cache, into, options=options, limits=limits, counters=counters)
    counters.files_to_write += sum(len(planned.targets) for planned in survey.missing)
    return plan.objects if options.linked else survey.missing


def _rehearsed_survey(
    plan: TreePlan,
    manifest: Manifest,
    cache: Repository,
    into: Path,
    *,
    options: CheckoutOptions,
    limits: Limits,
    counters: Counters,
) -> Survey:
    try:
        destination = open_destination(manifest, into, counters, create=False)
    except DestinationConflict:
        raise  # a file stands in its place or above it
    except LocalError:
        if into.exists() or into.is_symlink():
            raise
        return Survey(missing=plan.objects)
    with destination:
        if is_empty(destination):
            return Survey(missing=plan.objects)
        if options.linked:
            survey = survey_links(plan, cache, destination, counters)
        else:
            survey = survey_files(plan, destination, counters, hash_threads=limits.hashers)
        refuse_conflicts(survey, destination, options)
        counters.replaced += survey.differing
        if options.delete:
            counters.pruned += [extra.path for extra in find_prunable(plan, destination, options.protected)]
        else:
            counters.pruned += [extra.path for extra in survey.in_the_way]
            removed = set(counters.pruned)
            counters.extra += [path for path in leftovers(manifest, options, destination) if path not in removed]
    return survey


async def _fill(
    plan: TreePlan,
    source: Repository,
    destination: Destination,
    *,
    options: CheckoutOptions,
    limits: Limits,
    counters: Counters,
    mend: Mend | None,
    held: HeldObjects | None,
    kept: KeptCopies | None,
) -> None:
    if options.linked:
        await require_sound(plan.objects, source, mend, limits=limits, counters=counters)
        await anyio.to_thread.run_sync(_link, plan, source, destination, options, counters)
    else:
        missing = await anyio.to_thread.run_sync(_prepare, plan, destination, options, limits, counters)
        sink = partial(DirectorySink, destination, clone=options.clone, keep=options.keep)
        if held is not None:
            missing = await copy_held(missing, held, sink(), limits=limits, counters=counters)
        if kept is not None and not await anyio.to_thread.run_sync(makes_reflinks, destination.staging):
            kept = None
        await download(source, missing, sink(kept=kept), limits=limits, counters=counters, mend=mend)
    if options.delete:
        # While directories are still writable: their modes come last.
        await anyio.to_thread.run_sync(prune, plan, destination, options.protected, counters)


def _link(
    plan: TreePlan, cache: Repository, destination: Destination, options: CheckoutOptions, counters: Counters
) -> None:
    counters.begin("checkout", files=plan.count_files(), bytes_=0)
    survey = survey_links(plan, cache, destination, counters)
    _make_room(survey, destination, options, counters)
    link_tree(plan, cache, destination, counters, survey.missing)


def _prepare(
    plan: TreePlan, destination: Destination, options: CheckoutOptions, limits: Limits, counters: Counters
) -> Sequence[PlannedObject]:
    """Find the missing objects and make the directories. Nothing is written before the survey is done."""
    counters.begin("checkout", files=plan.count_files(), bytes_=plan.count_bytes())
    survey = survey_files(plan, destination, counters, hash_threads=limits.hashers)
    _make_room(survey, destination, options, counters)
    for directory in plan.directories:
        destination.make_directory(directory.names, directory.mode)
    for target in survey.wrong_modes:
        destination.set_mode(target.names, target.mode)
    return survey.missing


def _make_room(survey: Survey, destination: Destination, options: CheckoutOptions, counters: Counters) -> None:
    refuse_conflicts(survey, destination, options)
    counters.files_replaced += len(survey.differing)
    counters.replaced += survey.differing[:MAX_REPLACED_NAMED]
    clear_the_way(survey, destination, options, counters)


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
