"""A tree whose files are links to the objects of a local cache: no byte is copied. Blocking."""

from __future__ import annotations

import os
import stat

from snapdir.disk.destination import Destination
from snapdir.disk.links import place_link, read_link
from snapdir.disk.modes import RefusedModes, refusable
from snapdir.disk.pruning import Extra, path_of
from snapdir.errors import local_errors
from snapdir.model.keys import OBJECT_MODE
from snapdir.repository.repository import Repository
from snapdir.transfer.destination.survey import Survey, misplaced
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.plan import PlannedObject, Target, TreePlan

__all__ = ["Missing", "link_tree", "survey_links"]


Missing = list[tuple[Target, str]]
"""Places that need a link, and what it says."""


def link_tree(
    plan: TreePlan, cache: Repository, destination: Destination, counters: Counters, missing: Missing
) -> None:
    """Make every directory of ``plan`` and every link of ``missing``: absolute, to a read-only object.

    Files get no modes of the snapshot: a link has none.

    Raises:
        DestinationConflict: something of another kind came into the way since ``survey_links``.
        ObjectNotFound: the cache lost an object.
    """
    writable = RefusedModes()
    for one in plan.wanted:
        if not _write_protect(one, cache):
            writable.add(_object_path(one, cache))
    counters.warnings += writable.warnings()
    for directory in plan.directories:
        destination.make_directory(directory.names, directory.mode)
    for target, text in missing:
        destination.make_directory(target.names[:-1])
        place_link(destination.directories, text, target.names)
        counters.files_done += 1


def survey_links(
    plan: TreePlan, cache: Repository, destination: Destination, counters: Counters
) -> tuple[Missing, Survey]:
    """The links that are not there yet, and what stands in the place of one, or of a directory. Nothing is written."""
    missing: Missing = []
    found = Survey(in_the_way=misplaced(plan, destination))
    for one in plan.wanted:
        text = _object_path(one, cache)
        for target in one.targets:
            if read_link(destination.directories, target.names) == text:
                counters.files_done += 1
                continue
            missing.append((target, text))
            status = destination.stat(target.names)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                found.in_the_way.append(Extra(target.names, True))
            else:
                found.differing.append(path_of(target.names, is_directory=False))
    return missing, found


def _object_path(one: PlannedObject, cache: Repository) -> str:
    path = cache.local_object(one.digest)
    if path is None:
        raise cache.lacks(one.digest, one.path)
    return str(path)


def _write_protect(one: PlannedObject, cache: Repository) -> bool:
    """Take every write permission off an object: a write through a link would change it for all. False if refused."""
    path = _object_path(one, cache)
    with local_errors(path):
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except FileNotFoundError as error:
            raise cache.lacks(one.digest, one.path) from error
        if mode != OBJECT_MODE:
            with refusable():
                os.chmod(path, OBJECT_MODE)
            mode = stat.S_IMODE(os.stat(path).st_mode)  # some filesystems ignore a chmod without an error
    return not mode & 0o222
