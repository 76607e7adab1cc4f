"""Differences between a directory and the plan of a checkout. Blocking; reads, never writes."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import Extra, path_of
from snapdir.errors import LocalError, local_errors
from snapdir.hashing.files import SMALL_FILE_BYTES, hash_descriptor
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.hash_pool import HashPool
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.plan import TreePlan
from snapdir.transfer.engine.planned_objects import ObjectTable, PlannedObject, PlannedObjects, Target

Item = TypeVar("Item")

FILES_BETWEEN_LOOKS = 256

AHEAD_OBJECTS = 256
"""Looked at while the large files of an earlier one are still being hashed."""


@dataclass(slots=True)
class Survey:
    """The work of a checkout.

    Attributes:
        missing: Objects with the targets that still need them.
        wrong_modes: Files with the right content and another mode.
        differing: Paths of files that are another file, a link or the like now.
        in_the_way: Entries of another kind: a directory in the place of a file, or any other entry in the place of a
            directory.
    """

    missing: Sequence[PlannedObject] = ()
    wrong_modes: list[Target] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    in_the_way: list[Extra] = field(default_factory=list)


Answer = bool | Future[bool]
IsRight = Callable[[PlannedObject, Target, os.stat_result], Answer]
"""Whether a target that is not a directory holds the object: a thread may be finding out."""


def survey_files(plan: TreePlan, destination: Destination, counters: Counters, *, hash_threads: int) -> Survey:
    """Compare a directory with a plan of files: 5 µs per path that is not there, and the hash of every file that is.

    Large files are hashed by several threads.
    """
    if is_empty(destination):
        return Survey(missing=plan.objects)
    wrong_modes = []

    def is_right(planned: PlannedObject, target: Target, status: os.stat_result) -> Answer:
        if not stat.S_ISREG(status.st_mode) or planned.size not in (None, status.st_size):
            return False
        if status.st_size > SMALL_FILE_BYTES:
            return pool.submit(has_content, planned, target, status, pool.look)
        return has_content(planned, target, status, check_cancelled)

    def has_content(planned: PlannedObject, target: Target, status: os.stat_result, look: Callable[[], None]) -> bool:
        if _hash_of(target, destination, look) != planned.digest:
            return False
        counters.bytes_done += status.st_size
        if stat.S_IMODE(status.st_mode) != target.mode:
            wrong_modes.append(target)
        return True

    def settled(answer: Answer) -> bool:
        return pool.result(answer) if isinstance(answer, Future) else answer

    with HashPool(hash_threads) as pool:
        survey = _survey(plan, destination, counters, is_right, settled)
    survey.wrong_modes = wrong_modes
    counters.objects_skipped = max(counters.objects_skipped, len(plan.objects) - len(survey.missing))
    return survey


def survey_links(plan: TreePlan, cache: Repository, destination: Destination, counters: Counters) -> Survey:
    """Compare a directory with a plan of links to the objects of ``cache``."""

    def is_right(planned: PlannedObject, target: Target, _: os.stat_result) -> bool:
        return destination.read_link(target.names) == object_path(planned, cache)

    return _survey(plan, destination, counters, is_right)


def object_path(planned: PlannedObject, cache: Repository) -> str:
    """The path of an object of a cache: the text of a link to it."""
    path = cache.local_object(planned.digest)
    if path is None:
        raise cache.lacks(planned.digest, planned.path)
    return str(path)


def is_empty(destination: Destination) -> bool:
    """Whether the directory holds nothing but temporary files of snapdir."""
    path = destination.path_of(())
    with local_errors(path), os.scandir(path) as entries:
        return all(entry.path == destination.staging.path for entry in entries)


def _survey(
    plan: TreePlan,
    destination: Destination,
    counters: Counters,
    is_right: IsRight,
    settled: Callable[[Answer], bool] = bool,
) -> Survey:
    """
    Args:
        settled: Waits for an answer of ``is_right``.
    """
    survey = Survey()
    missing = ObjectTable()
    for names in sorted(plan.directory_names()):
        status = destination.stat(names)
        if status is not None and not stat.S_ISDIR(status.st_mode):  # a link to a directory is in the way too
            survey.in_the_way.append(Extra(names, False))

    def looked_at() -> Iterator[tuple[PlannedObject, list[Answer | None]]]:
        for number, planned in enumerate(plan.objects):
            if not number % FILES_BETWEEN_LOOKS:
                check_cancelled()
            yield planned, [_look(planned, target, destination, survey, is_right) for target in planned.targets]

    def is_done(target: Target, answer: Answer | None) -> bool:
        if answer is None or settled(answer):
            return answer is not None
        survey.differing.append(path_of(target.names, is_directory=False))
        return False

    for planned, answers in _running_ahead(looked_at()):
        targets = [
            target for target, answer in zip(planned.targets, answers, strict=True) if not is_done(target, answer)
        ]
        counters.files_done += len(planned.targets) - len(targets)
        if targets:
            missing.add(PlannedObject(planned.digest, planned.size, planned.path, targets))
    survey.missing = PlannedObjects.of(missing)
    return survey


def _running_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """``items`` in their order, each when AHEAD_OBJECTS more have been made."""
    made: deque[Item] = deque()
    for item in items:
        made.append(item)
        if len(made) > AHEAD_OBJECTS:
            yield made.popleft()
    yield from made


def _look(
    planned: PlannedObject, target: Target, destination: Destination, survey: Survey, is_right: IsRight
) -> Answer | None:
    """Whether a target needs no work; None if nothing is there, or a directory, which the survey records."""
    status = destination.stat(target.names)
    if status is None:
        return None
    if stat.S_ISDIR(status.st_mode):
        survey.in_the_way.append(Extra(target.names, True))
        return None
    return is_right(planned, target, status)


def _hash_of(target: Target, destination: Destination, look: Callable[[], None]) -> str | None:
    """The hash of the file at a target; None if it cannot be read (it will be replaced)."""
    try:
        descriptor = destination.open_file(target.names)
    except LocalError:
        return None
    try:
        return hash_descriptor(descriptor, between=look)[0]
    except OSError:
        return None
    finally:
        os.close(descriptor)
