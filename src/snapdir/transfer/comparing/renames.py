"""Renamed files, found by their content. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from snapdir.model.digest import EMPTY_DIGEST
from snapdir.transfer.comparing.compare import DiffEntry

__all__ = ["with_renames"]


def with_renames(entries: Iterable[DiffEntry]) -> list[DiffEntry]:
    """The same differences, with a deleted and an added file of the same content as one renamed, in order of path.

    Each deleted file is matched once: by one that kept its name first, then in the order of paths. Empty files are all
    alike, so they match nothing.
    """
    known = list(entries)
    deleted: dict[str, list[DiffEntry]] = defaultdict(list)
    for entry in known:
        if entry.status == "D" and entry.before is not None and entry.before.checksum != EMPTY_DIGEST:
            deleted[entry.before.checksum].append(entry)
    sources: dict[str, DiffEntry] = {}
    added = [entry for entry in known if entry.status == "A" and entry.after is not None]
    for keeps_name in (True, False):
        for entry in added:
            if entry.path not in sources and (source := _source(entry, deleted, keeps_name=keeps_name)):
                sources[entry.path] = source
    gone = {source.path for source in sources.values()}
    kept = [entry for entry in known if not (entry.status == "D" and entry.path in gone)]
    return [_renamed(sources[entry.path], entry) if entry.path in sources else entry for entry in kept]


def _source(entry: DiffEntry, deleted: dict[str, list[DiffEntry]], *, keeps_name: bool) -> DiffEntry | None:
    """Take the deleted file that ``entry`` was before."""
    candidates = deleted.get(entry.after.checksum if entry.after else "", [])
    for position, candidate in enumerate(candidates):
        if not keeps_name or _name(candidate.path) == _name(entry.path):
            return candidates.pop(position)
    return None


def _renamed(source: DiffEntry, entry: DiffEntry) -> DiffEntry:
    return DiffEntry("R", entry.path, source.path, source.before, entry.after)


def _name(path: str) -> str:
    return path[path.rfind("/") + 1 :]
