"""Paths that a checkout must not replace, and those that it removes before it writes. Blocking."""

from __future__ import annotations

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import find_all, is_empty_directory, protected_paths, remove_extra
from snapdir.errors import DestinationConflict
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.destination.survey import Survey
from snapdir.transfer.engine.events import Counters

DIFFERENT = "{} path(s) differ and --no-overwrite was given; nothing was written"
PROTECTED = "{} path(s) in the way of the snapshot are protected by --exclude or are mount points; nothing was written"
IN_THE_WAY = (
    "{} path(s) are in the way (a directory where the snapshot has a file, or something else where it has a "
    "directory); nothing was written. Move them away, or check out the whole snapshot with --delete, which removes them"
)


def refuse_conflicts(survey: Survey, destination: Destination, options: CheckoutOptions) -> None:
    """Refuse a checkout that would remove entries that must stay. Nothing is changed.

    A file or link in the place of a file may be replaced, and an empty directory removed. Everything else is removed
    only with ``options.delete``, unless it is protected or a mount point.

    Raises:
        DestinationConflict: an entry must stay.
    """
    directories = destination.directories
    in_the_way = [extra.path for extra in survey.in_the_way]
    if not options.overwrite:
        _refuse(destination, DIFFERENT, [*survey.differing, *in_the_way])
    if options.delete:
        held = [
            path
            for extra in survey.in_the_way
            for path in protected_paths(directories, extra, is_protected=options.protected)
        ]
        _refuse(destination, PROTECTED, held)
    else:
        full = [extra.path for extra in survey.in_the_way if not is_empty_directory(directories, extra)]
        _refuse(destination, IN_THE_WAY, full)


def clear_the_way(survey: Survey, destination: Destination, options: CheckoutOptions, counters: Counters) -> None:
    """Remove entries that are in the way, after ``refuse_conflicts``.

    Raises:
        DestinationConflict: an entry got new files meanwhile; they stay.
        LocalError: the system refused.
    """
    directories = destination.directories
    for top in survey.in_the_way:
        for extra in find_all(directories, top, is_protected=options.protected) if options.delete else [top]:
            if not remove_extra(directories, extra):
                raise DestinationConflict(
                    destination.path_of(extra.names), "another process keeps writing into it; stop it and run again"
                )
            counters.pruned.append(extra.path)


def _refuse(destination: Destination, reason: str, paths: list[str]) -> None:
    if paths:
        raise DestinationConflict(destination.path_of(()), reason.format(len(paths)), paths=paths)
