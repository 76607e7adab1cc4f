"""What of a snapshot is in a directory already. Blocking; reads, never writes."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import Extra, path_of
from snapdir.errors import LocalError
from snapdir.hashing.files import hash_descriptor
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.plan import PlannedObject, Target, TreePlan

__all__ = ["Survey", "is_empty", "misplaced", "survey"]

FILES_BETWEEN_LOOKS = 256


@dataclass(slots=True)
class Survey:
    """What a checkout has to do.

    Attributes:
        missing: Objects with the targets that still need them.
        wrong_modes: Files with the right content and another mode.
        differing: Paths of files where another file, a link or the like stands.
        in_the_way: What is of another kind: a directory in a file's place, or anything else in a directory's.
    """

    missing: list[PlannedObject] = field(default_factory=list)
    wrong_modes: list[Target] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    in_the_way: list[Extra] = field(default_factory=list)


def survey(plan: TreePlan, destination: Destination, counters: Counters) -> Survey:
    """Compare a destination with a plan: 5 µs a path that is not there, and the hash of every file that is."""
    if is_empty(destination):
        return Survey(missing=plan.wanted)
    found = Survey(in_the_way=misplaced(plan, destination))
    for number, wanted in enumerate(plan.wanted):
        if not number % FILES_BETWEEN_LOOKS:
            check_cancelled()
        targets = [target for target in wanted.targets if not _is_in_place(wanted, target, destination, found)]
        kept = len(wanted.targets) - len(targets)
        counters.objects_skipped += not targets
        counters.files_done += kept
        counters.bytes_done += kept * (wanted.size or 0)
        if targets:
            found.missing.append(PlannedObject(wanted.digest, wanted.size, wanted.path, targets))
    return found


def misplaced(plan: TreePlan, destination: Destination) -> list[Extra]:
    """Files, links and the like in the place of a directory. (A link to a directory is one of them.)"""
    found = []
    for names in sorted(plan.directory_names()):
        status = destination.stat(names)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            found.append(Extra(names, False))
    return found


def is_empty(destination: Destination) -> bool:
    """Whether nothing but temporary files of ours is there."""
    with os.scandir(destination.path_of(())) as entries:
        return all(entry.path == destination.staging.path for entry in entries)


def _is_in_place(wanted: PlannedObject, target: Target, destination: Destination, found: Survey) -> bool:
    status = destination.stat(target.names)
    if status is None:
        return False
    if stat.S_ISDIR(status.st_mode):
        found.in_the_way.append(Extra(target.names, True))
        return False
    if (
        stat.S_ISREG(status.st_mode)
        and wanted.size in (None, status.st_size)
        and _hash_of(target, destination) == wanted.digest
    ):
        if stat.S_IMODE(status.st_mode) != target.mode:
            found.wrong_modes.append(target)
        return True
    found.differing.append(path_of(target.names, is_directory=False))
    return False


def _hash_of(target: Target, destination: Destination) -> str | None:
    """The hash of a file that stands at a target; None if it cannot be read (it will be replaced)."""
    try:
        descriptor = destination.open_file(target.names)
    except LocalError:
        return None
    try:
        return hash_descriptor(descriptor, between=check_cancelled)[0]
    finally:
        os.close(descriptor)
