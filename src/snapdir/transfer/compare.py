"""What two sets of manifests say of each other, and how much they hold. Manifests only; no object is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from snapdir.errors import Conflict
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest

__all__ = ["DiffEntry", "SizeStats", "compare", "measure", "union"]


@dataclass(frozen=True, slots=True)
class DiffEntry:
    """One path: ``A`` only in the second side, ``D`` only in the first, ``M`` different."""

    status: str
    path: str

    def __repr__(self) -> str:
        return f'DiffEntry(status="{self.status}", path="{self.path}")'


@dataclass(frozen=True, slots=True)
class SizeStats:
    """Bytes and counts: ``logical`` of every file, ``physical`` of every distinct content."""

    logical_bytes: int
    physical_bytes: int
    files: int
    objects: int


def union(manifests: Iterable[Manifest], *, side: str) -> dict[str, Entry]:
    """All entries of one side by path.

    Raises:
        Conflict: two manifests disagree about a path.
    """
    entries: dict[str, Entry] = {}
    for manifest in manifests:
        for entry in manifest.entries:
            if not _agree(entries.setdefault(entry.path, entry), entry):
                raise Conflict(
                    f"intra-side path collision on '{side}' side: path \"{entry.path}\" appears with differing"
                    " content; name one snapshot of the store"
                )
    return entries


def compare(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Iterator[DiffEntry]:
    """Files that were added, deleted or modified, in the byte order of their paths."""
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if not any(entry.is_file for entry in (old, new) if entry is not None):
            continue
        if old is None or new is None:
            yield DiffEntry("A" if old is None else "D", path)
        elif not _agree(old, new):
            yield DiffEntry("M", path)


def measure(manifests: Iterable[Manifest]) -> SizeStats:
    """Totals over manifests; a content counts once, with the size its first path gives."""
    logical = files = 0
    objects: dict[str, int] = {}
    for manifest in manifests:
        for entry in manifest.files:
            logical += entry.size
            files += 1
            objects.setdefault(entry.checksum, entry.size)
    return SizeStats(logical, sum(objects.values()), files, len(objects))


def _agree(one: Entry, other: Entry) -> bool:
    if one.is_file and other.is_file:
        return one == other
    # The checksum of a directory follows from its files, which have lines of their own.
    return (one.kind, one.mode) == (other.kind, other.mode)
