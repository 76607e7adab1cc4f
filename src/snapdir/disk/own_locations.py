"""Places that snapdir itself writes to, where a walk comes across them. Blocking."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from snapdir.model.patterns import Exclusion, exactly

__all__ = ["OwnLocation", "OwnLocations"]

DirectoryKey = tuple[int, int]
"""Device and inode."""

SHOWN = 5
"""A place that many links lead to is named by this many of its paths."""


class OwnLocation(NamedTuple):
    """A directory or file that need not exist yet.

    Attributes:
        name: In the message: ``the store``.
        beside: A pattern for what the names of the files beside it add to its own.
        foreign: This run does not write there, and so does not make it.
    """

    path: str
    name: str
    beside: str = ""
    foreign: bool = False


class _Met(NamedTuple):
    place: OwnLocation
    real: str
    paths: list[str]


class OwnLocations:
    """Which of ``places`` lie in the tree that a walk goes through, whatever links lead there.

    A directory is known by its device and inode. A place that does not exist is looked for at its nearest parent that
    does, because a push makes it while the walk goes on.
    """

    def __init__(self, places: Iterable[OwnLocation]) -> None:
        self._expected: dict[DirectoryKey, list[tuple[_Met, tuple[str, ...]]]] = {}
        self._met: list[_Met] = []
        known: set[str] = set()
        for place in places:
            real = os.path.realpath(place.path)
            key, missing = _nearest_directory(real)
            if real not in known and not (place.foreign and missing):
                known.add(real)
                self._met.append(_Met(place, real, []))
                self._expected.setdefault(key, []).append((self._met[-1], missing))

    def enter(self, key: DirectoryKey, file: str, path: str, excluded: Exclusion | None) -> None:
        """Note the places in a directory that the walk goes into: ``path`` is its path in the manifest."""
        for met, missing in self._expected.get(key, ()):
            if len(met.paths) < SHOWN and not _is_excluded(file, path, missing, excluded):
                met.paths.append(path + "/".join(missing))

    def warnings(self, root: str) -> list[str]:
        """A line for each place that was met, except for those inside another one."""
        met = [one for one in self._met if one.paths]
        return [_warning(one, root) for one in met if not any(_holds(other, one) for other in met)]


def _nearest_directory(real: str) -> tuple[DirectoryKey, tuple[str, ...]]:
    """The key of a directory, or of the nearest one above it that exists; and the names below that."""
    missing: tuple[str, ...] = ()
    while True:
        try:
            status = os.stat(real + "/")
        except OSError:
            if real == "/":
                raise
            real, name = os.path.split(real)
            missing = (name, *missing)
        else:
            return (status.st_dev, status.st_ino), missing


def _is_excluded(file: str, path: str, missing: tuple[str, ...], excluded: Exclusion | None) -> bool:
    if excluded is None:
        return False
    below = ["/".join(missing[: length + 1]) for length in range(len(missing))]
    return any(excluded(f"{file.rstrip('/')}/{names}", path + names) for names in below)


def _holds(outer: _Met, inner: _Met) -> bool:
    return inner.real.startswith(outer.real.rstrip("/") + "/")


def _warning(met: _Met, root: str) -> str:
    place, paths = met.place, [path.rstrip("/") for path in met.paths]
    if "." in paths or root.rstrip("/") in paths:
        where, way_out = f"{place.name} {place.path} is the tree itself", "keep it elsewhere"
    else:
        patterns = [shlex.quote(exactly(path, beside=place.beside)) for path in paths]
        where = f"{place.name} {place.path} lies within {root}, at {', '.join(paths)}"
        way_out = f"keep it elsewhere, or leave it out with --exclude {' --exclude '.join(patterns)}"
    return f"{where}: each run that writes there changes the id; {way_out}"
