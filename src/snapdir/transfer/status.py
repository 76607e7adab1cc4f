"""Differences between a directory and its snapshot. Blocking; reads, never writes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import path_of
from snapdir.errors import InFluxError, LocalError, local_error
from snapdir.hashing.files import SMALL_FILE_BYTES, hash_descriptor
from snapdir.model.entry import Entry
from snapdir.model.ignoring import IgnoreRules
from snapdir.model.keys import object_key
from snapdir.model.manifest import Manifest
from snapdir.model.paths import Names
from snapdir.transfer.comparing.diff import paired, union
from snapdir.transfer.destination.mirror import leftovers, only_innermost
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.hash_pool import HashPool
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.plan import TreePlan, plan_tree
from snapdir.transfer.engine.planned_objects import PlannedObject, Target
from snapdir.transfer.engine.selection import Selection


class Differences(NamedTuple):
    """Paths, sorted: files with other content or another mode, missing ones, and those that are not in the snapshot."""

    modified: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


class _File(NamedTuple):
    """A file, or a link to an object, that has to be hashed."""

    planned: PlannedObject
    target: Target
    is_link: bool
    size: int

    @property
    def path(self) -> str:
        return path_of(self.target.names, is_directory=False)


def tree_differences(manifest: Manifest, present: Manifest, ignored: IgnoreRules | None) -> Differences:
    """Compare the manifest of a directory, ``present``, with that of its snapshot. Pure; about 3 µs a path."""
    before = manifest if ignored is None else ignored.without_ignored(manifest)
    modified: list[str] = []
    missing: list[str] = []
    extra: list[str] = []
    for old, new in paired(*(union([each], last_wins=True) for each in (before, present))):
        if old is None:
            extra += [new.path] if new is not None else []
        elif new is None:
            missing.append(old.path)
        elif _differs(old, new):
            modified.append(old.path)
    return Differences(tuple(modified), tuple(missing), tuple(only_innermost(extra)))


def _differs(before: Entry, after: Entry) -> bool:
    """The checksum of a directory differs if anything in it does, which is listed itself."""
    return before.mode != after.mode or (before.is_file and before.checksum != after.checksum)


def directory_differences(
    manifest: Manifest,
    selection: Selection,
    root: Path,
    counters: Counters,
    *,
    ignored: IgnoreRules | None = None,
    hash_threads: int,
    max_open_files: int = 0,
) -> Differences:
    """Compare ``root`` with the selection of ``manifest``, as a checkout makes it. Links are not followed.

    Paths outside the selection and ignored ones are neither missing nor extra.

    A file of another size is not read; any other is hashed, those above 1 MiB in ``hash_threads`` threads. Special
    bits of a mode do not count: a checkout need not have restored them. A link that a linked checkout made counts as
    the object it leads to.

    Raises:
        LocalError: ``root`` or something in it cannot be read.
        UnsafePath: the manifest is hostile.
    """
    selected = selection.of(manifest)
    compared = selected if ignored is None else ignored.without_ignored(selected)
    plan = plan_tree(compared, preserve_special_modes=False)
    modified: list[str] = []
    missing: list[str] = []
    with Destination.open(root, create=False, max_open_files=max_open_files) as destination:
        files = list(_to_hash(plan, destination, modified, missing))
        counters.begin("verify", files=len(files), bytes_=sum(file.size for file in files))
        modified += _changed(files, destination, counters, hash_threads)
        extra = leftovers(manifest, CheckoutOptions(selection), destination, is_ignored=ignored, skip_unreadable=False)
    return Differences(tuple(sorted(modified)), tuple(sorted(missing)), tuple(extra))


def _to_hash(plan: TreePlan, destination: Destination, modified: list[str], missing: list[str]) -> Iterator[_File]:
    """Compare kinds, modes and sizes; the files that only a hash can tell apart."""
    for directory in plan.directories:
        status = destination.stat(directory.names)
        if status is None:
            missing.append(path_of(directory.names, is_directory=True))
        elif not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o777 != directory.mode:
            modified.append(path_of(directory.names, is_directory=True))
    for planned in plan.objects:
        for target in planned.targets:
            status = destination.stat(target.names)
            if status is None:
                missing.append(path_of(target.names, is_directory=False))
            elif stat.S_ISLNK(status.st_mode):
                yield _File(planned, target, True, 0)
            elif (
                stat.S_ISREG(status.st_mode)
                and status.st_mode & 0o777 == target.mode
                and planned.size in (None, status.st_size)
            ):
                yield _File(planned, target, False, status.st_size)
            else:
                modified.append(path_of(target.names, is_directory=False))


def _changed(files: list[_File], destination: Destination, counters: Counters, threads: int) -> list[str]:
    def is_changed(file: _File, look: Callable[[], None] = check_cancelled) -> bool:
        look()
        changed = _hash_of(file, destination, look) != file.planned.digest
        counters.files_done += 1
        counters.bytes_done += file.size
        return changed

    # Small files in one thread: a hop to another costs more than their hash.
    large = [file for file in files if file.size > SMALL_FILE_BYTES]
    with HashPool(threads) as pool:
        hashing = [pool.submit(is_changed, file, pool.look) for file in large]
        changed = [file.path for file in files if file.size <= SMALL_FILE_BYTES and is_changed(file)]
        return changed + [file.path for file, future in zip(large, hashing, strict=True) if pool.result(future)]


def _hash_of(file: _File, destination: Destination, look: Callable[[], None]) -> str | None:
    """The hash of a file's content; None for a link that does not lead to the object."""
    if file.is_link:
        return _hash_of_link(file.target.names, destination, file.planned, look)
    try:
        descriptor = destination.open_file(file.target.names)
    except LocalError as error:
        if error.errno == errno.EINVAL:
            return None  # no regular file any more
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise InFluxError(error.path, "vanished") from error
        raise
    return _hash_and_close(descriptor, destination.path_of(file.target.names), look)


def _hash_of_link(
    names: Names, destination: Destination, planned: PlannedObject, look: Callable[[], None]
) -> str | None:
    try:
        text = destination.read_link(names)
        if text is None or not text.endswith("/" + object_key(planned.digest)):
            return None
        descriptor = destination.open_behind_link(names)
    except (OSError, LocalError):
        return None
    return _hash_and_close(descriptor, destination.path_of(names), look)


def _hash_and_close(descriptor: int, path: str, look: Callable[[], None]) -> str:
    try:
        return hash_descriptor(descriptor, between=look)[0]
    except OSError as error:
        raise local_error(error, path) from error
    finally:
        os.close(descriptor)
