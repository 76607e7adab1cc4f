"""A tree whose files are links to the objects of a local cache: no byte is copied. Blocking."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from snapdir.disk.destination import Destination
from snapdir.disk.modes import RefusedModes, refusable
from snapdir.errors import local_errors
from snapdir.model.keys import OBJECT_MODE
from snapdir.repository.repository import Repository
from snapdir.transfer.destination.survey import object_path
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.plan import TreePlan
from snapdir.transfer.engine.planned_objects import PlannedObject


def link_tree(
    plan: TreePlan,
    cache: Repository,
    destination: Destination,
    counters: Counters,
    missing: Iterable[PlannedObject],
) -> None:
    """Make every directory of ``plan`` and a link at every target of ``missing``: absolute, to a read-only object.

    Files get no modes of the snapshot: a link has none.

    Raises:
        DestinationConflict: an entry of another kind appeared since ``survey_links``.
        ObjectNotFound: an object was removed from the cache.
    """
    writable = RefusedModes()
    for planned in plan.objects:
        if not _write_protect(planned, cache):
            writable.add(object_path(planned, cache))
    counters.warnings += writable.warnings()
    for directory in plan.directories:
        destination.make_directory(directory.names, directory.mode)
    for planned in missing:
        text = object_path(planned, cache)
        for target in planned.targets:
            destination.make_directory(target.names[:-1])
            destination.place_link(text, target.names)
            counters.files_done += 1


def _write_protect(planned: PlannedObject, cache: Repository) -> bool:
    """Take every write permission off an object: a write through a link would change it for all. False if refused."""
    path = object_path(planned, cache)
    with local_errors(path):
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except FileNotFoundError as error:
            raise cache.lacks(planned.digest, planned.path) from error
        if mode != OBJECT_MODE:
            with refusable():
                os.chmod(path, OBJECT_MODE)
            mode = stat.S_IMODE(os.stat(path).st_mode)  # some filesystems ignore a chmod without an error
    return not mode & 0o222
