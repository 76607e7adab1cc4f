"""A tree whose files are links to the objects of a local cache: no byte is copied. Blocking."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from snapdir.disk.destination import Destination
from snapdir.disk.links import place_link, read_link
from snapdir.disk.pruning import path_of
from snapdir.errors import local_errors
from snapdir.model.keys import OBJECT_MODE
from snapdir.repository.repository import Repository
from snapdir.transfer.events import Counters
from snapdir.transfer.plan import Target, TreePlan, Wanted
from snapdir.transfer.survey import refuse_replacing

__all__ = ["link_tree"]


def link_tree(
    plan: TreePlan, cache: Repository, destination: Destination, counters: Counters, *, overwrite: bool
) -> None:
    """Make every directory of ``plan``, and for every file an absolute link to its object, which nobody can write to.

    Links that are right stay. Files get no modes of the snapshot: a link has none.

    Raises:
        DestinationConflict: something else stands in a file's place and not ``overwrite``; nothing was written.
        ObjectNotFound: the cache lost an object.
    """
    counters.begin("checkout", files=sum(len(one.targets) for one in plan.wanted), bytes_=0)
    missing, differing = _survey(plan, cache, destination, counters)
    if not overwrite:
        refuse_replacing(destination, differing)
    counters.files_replaced += len(differing)
    for one in plan.wanted:
        _write_protect(one, cache)
    for directory in plan.directories:
        destination.make_directory(directory.names, replace=True)
    for target, text in missing:
        destination.make_directory(target.names[:-1], replace=True)
        place_link(destination.directories, text, target.names)
        counters.files_done += 1


def _survey(
    plan: TreePlan, cache: Repository, destination: Destination, counters: Counters
) -> tuple[list[tuple[Target, str]], list[str]]:
    """Links that are still to be placed, and the paths where something else stands."""
    missing: list[tuple[Target, str]] = []
    differing: list[str] = []
    for directory in plan.directories:
        status = destination.stat(directory.names)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            differing.append(path_of(directory.names, is_directory=True))
    for one in plan.wanted:
        text = _object_path(one, cache)
        for target in one.targets:
            if read_link(destination.directories, target.names) == text:
                counters.files_done += 1
                continue
            missing.append((target, text))
            if destination.stat(target.names) is not None:
                differing.append(path_of(target.names, is_directory=False))
    return missing, differing


def _object_path(one: Wanted, cache: Repository) -> str:
    path = cache.local_object(one.digest)
    if path is None:
        raise cache.lacks(one.digest, one.path)
    return str(path)


def _write_protect(one: Wanted, cache: Repository) -> None:
    """Take every write permission off an object: whoever writes through a link would change it for all."""
    path = _object_path(one, cache)
    with local_errors(path):
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except FileNotFoundError as error:
            raise cache.lacks(one.digest, one.path) from error
        if mode & 0o222:
            os.chmod(path, OBJECT_MODE)
        elif mode != OBJECT_MODE:
            with suppress(PermissionError):  # somebody else's, and as it is nobody's to write
                os.chmod(path, OBJECT_MODE)
