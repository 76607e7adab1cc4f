"""Making a directory hold nothing but a snapshot: what has to go, and what is protected. Blocking."""

from __future__ import annotations

import stat
from pathlib import Path

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import Protection, find_extra, path_of, remove_extra
from snapdir.disk.staging import STAGING_NAME
from snapdir.errors import DestinationConflict, LocalError
from snapdir.model.manifest import Manifest
from snapdir.model.paths import Names
from snapdir.transfer.events import Counters
from snapdir.transfer.plan import TreePlan, plan_tree

__all__ = ["prune", "refuse_protected_paths", "would_delete"]


def prune(plan: TreePlan, destination: Destination, is_protected: Protection | None, counters: Counters) -> None:
    """Remove everything that ``plan`` does not make, deepest first. Links are removed, never followed.

    Raises:
        LocalError: the system refused; what is left is removed by the next run.
    """
    directories = destination.directories
    kept = _kept(plan)
    found = find_extra(directories, kept, is_protected=is_protected, ignored=STAGING_NAME, change_modes=True)
    for extra in found:
        if remove_extra(directories, extra):
            counters.pruned.append(extra.path)


def would_delete(manifest: Manifest, into: Path, is_protected: Protection | None) -> list[str]:
    """The paths that a mirror of ``manifest`` would remove from ``into``, in that order. Nothing is changed.

    Raises:
        UnsafePath: the manifest is hostile.
        LocalError: a directory cannot be read.
    """
    plan = plan_tree(manifest, preserve_special_modes=False)
    try:
        destination = Destination.open(into, create=False)
    except LocalError:
        if into.exists() or into.is_symlink():
            raise
        return []
    with destination:
        refuse_protected_paths(plan, destination, is_protected)
        found = find_extra(destination.directories, _kept(plan), is_protected=is_protected, ignored=STAGING_NAME)
    return [extra.path for extra in found]


def refuse_protected_paths(plan: TreePlan, destination: Destination, is_protected: Protection | None) -> None:
    """Make sure that no path of the plan takes the place of something protected of another kind.

    Raises:
        DestinationConflict: some do; nothing was written.
    """
    if is_protected is None:
        return
    in_the_way = [
        path
        for names in sorted(_directories(plan))
        if (path := _misplaced(names, destination, is_directory=True)) and is_protected(path)
    ]
    for wanted in plan.wanted:
        for target in wanted.targets:
            if _misplaced(target.names, destination, is_directory=False):
                in_the_way += _protected_below(target.names, destination, is_protected)
    if in_the_way:
        raise DestinationConflict(
            destination.path_of(()),
            "--exclude protects what the snapshot has something else for; nothing was written. In the way",
            paths=in_the_way,
        )


def _misplaced(names: Names, destination: Destination, *, is_directory: bool) -> str:
    """The path of what stands at ``names``, where a directory (or a file) belongs, if it is the other kind."""
    status = destination.stat(names)
    if status is None or stat.S_ISDIR(status.st_mode) == is_directory:
        return ""
    return path_of(names, is_directory=not is_directory)


def _protected_below(names: Names, destination: Destination, is_protected: Protection) -> list[str]:
    own = path_of(names, is_directory=True)
    found = find_extra(destination.directories, frozenset(), below=names)
    return [path for path in (own, *(extra.path for extra in found)) if is_protected(path)]


def _kept(plan: TreePlan) -> set[str]:
    """Every path of the plan, and every directory above one."""
    kept = {path_of(target.names, is_directory=False) for wanted in plan.wanted for target in wanted.targets}
    return kept | {path_of(names, is_directory=True) for names in _directories(plan)}


def _directories(plan: TreePlan) -> set[Names]:
    """Those of the plan, and those that it takes for granted."""
    directories = {directory.names for directory in plan.directories}
    files = [target.names for wanted in plan.wanted for target in wanted.targets]
    for names in (*files, *directories):
        above = names[:-1]
        while above and above not in directories:
            directories.add(above)
            above = above[:-1]
    return directories
