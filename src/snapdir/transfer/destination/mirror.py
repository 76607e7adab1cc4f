"""Entries of a destination that are not in a snapshot: found, and removed by a mirror. Blocking."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import pairwise

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import Extra, Protection, find_extra, path_of, remove_extra
from snapdir.model.manifest import Manifest
from snapdir.model.paths import STAGING_NAME, Names, is_temporary_beside, with_parents
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.plan import TreePlan

OWN = frozenset({(STAGING_NAME,)})


def prune(plan: TreePlan, destination: Destination, is_protected: Protection | None, counters: Counters) -> None:
    """Remove everything that ``plan`` does not make, deepest first. Links are removed, never followed.

    Raises:
        LocalError: the system refused; the next run removes the rest.
    """
    for extra in find_prunable(plan, destination, is_protected, change_modes=True):
        if remove_extra(destination.directories, extra):
            counters.pruned.append(extra.path)


def find_prunable(
    plan: TreePlan, destination: Destination, is_protected: Protection | None, *, change_modes: bool = False
) -> list[Extra]:
    """The entries that a mirror removes, in that order. Nothing is changed but, on request, modes (see find_extra).

    Raises:
        LocalError: a directory cannot be read.
    """
    return find_extra(
        destination.directories, _kept(plan), is_protected=is_protected, ignored=OWN, change_modes=change_modes
    )


def leftovers(
    manifest: Manifest,
    options: CheckoutOptions,
    destination: Destination,
    *,
    is_ignored: Callable[[str], bool] | None = None,
    skip_unreadable: bool = True,
) -> list[str]:
    """Paths that fit the selection and are not in the snapshot; a directory only if nothing is in it.

    Args:
        manifest: All of the snapshot: files that were not selected are not left over.
        is_ignored: Paths to pass over, with everything below them.
        skip_unreadable: Take a directory that cannot be read for an empty one.

    Raises:
        LocalError: a directory cannot be read.
    Cost: about 3 µs per path of the manifest and 2 µs per entry of the destination.
    """
    known = with_parents(entry.path for entry in manifest)
    ignored = OWN | _inside(destination.path_of(()), options.own_directories)
    extra = find_extra(
        destination.directories, known, ignored=ignored, is_ignored=is_ignored, skip_unreadable=skip_unreadable
    )
    covered = options.selection.covering()
    paths = sorted(
        entry.path
        for entry in extra
        if covered(entry.path) and (entry.is_directory or not is_temporary_beside(entry.names[-1]))
    )
    return only_innermost(paths)


def only_innermost(paths: list[str]) -> list[str]:
    """Sorted paths without the directories that have something in them."""
    return [path for path, next_path in pairwise([*paths, ""]) if not (path[-1] == "/" and next_path.startswith(path))]


def _inside(root: str, directories: Iterable[str]) -> set[Names]:
    """The names below ``root`` of those directories that lie in it."""
    top = os.path.realpath(root).rstrip("/") + "/"
    real = map(os.path.realpath, directories)
    return {tuple(path.removeprefix(top).split("/")) for path in real if path.startswith(top)}


def _kept(plan: TreePlan) -> set[str]:
    """Every path of the plan, and every directory above one."""
    kept = {path_of(target.names, is_directory=False) for planned in plan.objects for target in planned.targets}
    return kept | {path_of(names, is_directory=True) for names in plan.directory_names()}
