"""Locations that snapdir itself writes to, if they lie in the tree of a walk. Blocking."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from snapdir.model.ignoring import IgnoreRules
from snapdir.model.patterns import Exclusion, exactly

DirectoryKey = tuple[int, int]
"""Device and inode."""

SHOWN = 5
"""Paths that a warning names, of a location that links lead to."""


class OwnLocation(NamedTuple):
    """A directory or file that need not exist yet.

    Attributes:
        name: In the message: ``the store``.
        beside: A pattern for the suffixes of the files beside it.
        foreign: This run does not write there, and so does not make it.
    """

    path: str
    name: str
    beside: str = ""
    foreign: bool = False


class _Met(NamedTuple):
    location: OwnLocation
    real: str
    paths: list[str]


class OwnLocations:
    """Finds those of ``locations`` that lie in the tree of a walk, also behind links.

    Directories are compared by device and inode. For a location that does not exist yet the nearest parent counts,
    because a push makes it while the walk goes on.
    """

    def __init__(self, locations: Iterable[OwnLocation]) -> None:
        self._expected: dict[DirectoryKey, list[tuple[_Met, tuple[str, ...]]]] = {}
        self._met: list[_Met] = []
        known: set[str] = set()
        for location in locations:
            real = os.path.realpath(location.path)
            key, missing = _nearest_directory(real)
            if real not in known and not (location.foreign and missing):
                known.add(real)
                self._met.append(_Met(location, real, []))
                self._expected.setdefault(key, []).append((self._met[-1], missing))

    def enter(
        self,
        key: DirectoryKey,
        file: str,
        path: str,
        excluded: Exclusion | None = None,
        ignored: IgnoreRules | None = None,
    ) -> None:
        """Note the locations in a directory that the walk enters: ``path`` is its path in the manifest."""
        for met, missing in self._expected.get(key, ()):
            left_out = _is_excluded(file, path, missing, excluded) or _is_ignored(met, path, missing, ignored)
            if len(met.paths) < SHOWN and not left_out:
                met.paths.append(path + "/".join(missing))

    def warnings(self, root: str) -> list[str]:
        """A line for each location in the tree, except for those inside another one."""
        in_tree = [met for met in self._met if met.paths]
        return [_warning(met, root) for met in in_tree if not any(_holds(other, met) for other in in_tree)]


def _nearest_directory(real: str) -> tuple[DirectoryKey, tuple[str, ...]]:
    """The key of a directory, or of its nearest parent that exists, and the names below that."""
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


def _is_ignored(met: _Met, path: str, missing: tuple[str, ...], ignored: IgnoreRules | None) -> bool:
    if ignored is None or not missing:
        return False
    *above, own = (path + "/".join(missing[: length + 1]) for length in range(len(missing)))
    is_file = bool(met.location.beside)
    return any(ignored(f"{each}/") for each in above) or ignored(own if is_file else f"{own}/")


def _holds(outer: _Met, inner: _Met) -> bool:
    return inner.real.startswith(outer.real.rstrip("/") + "/")


def _warning(met: _Met, root: str) -> str:
    location, paths = met.location, [path.rstrip("/") for path in met.paths]
    if "." in paths or root.rstrip("/") in paths:
        where, way_out = f"{location.name} {location.path} is the tree itself", "move it elsewhere"
    else:
        patterns = [shlex.quote(exactly(path, beside=location.beside)) for path in paths]
        where = f"{location.name} {location.path} is inside {root} ({', '.join(paths)})"
        way_out = f"move it elsewhere or exclude it with --exclude {' --exclude '.join(patterns)}"
    return f"{where}, so every run that writes to it changes the id; {way_out}"
