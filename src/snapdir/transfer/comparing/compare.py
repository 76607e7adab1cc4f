"""Differences between two sets of manifests, and their sizes. No object is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from snapdir.errors import SideConflict
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published

__all__ = ["DiffEntry", "Measure", "SizeStats", "SnapshotSummary", "compare", "measure", "summarise", "union"]


@dataclass(frozen=True, slots=True)
class DiffEntry:
    """One path: ``A`` only in the second side, ``D`` only in the first, ``M`` different, ``=`` the same, ``R`` renamed.

    Attributes:
        renamed_from: The path that the same content had, for ``R``.
        before, after: The entries at the path (``before`` at the former path, for ``R``); None without one.
    """

    status: str
    path: str
    renamed_from: str | None = None
    before: Entry | None = field(default=None, compare=False)
    after: Entry | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f'DiffEntry(status="{self.status}", path="{self.path}")'


@dataclass(frozen=True, slots=True)
class SizeStats:
    """Bytes and counts: ``logical`` of every file, ``physical`` of every distinct content."""

    logical_bytes: int
    physical_bytes: int
    files: int
    objects: int


@dataclass(frozen=True, slots=True)
class SnapshotSummary:
    """One snapshot of a store.

    Attributes:
        stored_seconds: When its manifest was written (Unix seconds), if the store tells.
        size: Bytes and counts.
    """

    id: str
    stored_seconds: float | None
    size: SizeStats


def summarise(published: Published, manifest: Manifest) -> SnapshotSummary:
    return SnapshotSummary(str(published.snapshot_id), published.stored_seconds, measure([manifest]))


def union(manifests: Iterable[Manifest], *, side: str, last_wins: bool = False) -> dict[str, Entry]:
    """All entries of one side by path.

    Args:
        last_wins: If two manifests disagree about a path, the later one counts, instead of an error.

    Raises:
        Conflict: two manifests disagree about a path.
    """
    entries: dict[str, Entry] = {}
    for manifest in manifests:
        for entry in manifest.entries:
            known = entries.setdefault(entry.path, entry)
            if not _agree(known, entry):
                if not last_wins:
                    raise SideConflict(side, entry.path)
                entries[entry.path] = entry
    return entries


def compare(before: Mapping[str, Entry], after: Mapping[str, Entry], *, unchanged: bool = False) -> Iterator[DiffEntry]:
    """Files that were added, deleted or modified, in the byte order of their paths.

    Args:
        unchanged: List those that are the same too.
    """
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if not any(entry.is_file for entry in (old, new) if entry is not None):
            continue
        if old is None or new is None:
            yield DiffEntry("A" if old is None else "D", path, None, old, new)
        elif not _agree(old, new):
            yield DiffEntry("M", path, None, old, new)
        elif unchanged:
            yield DiffEntry("=", path, None, old, new)


def measure(manifests: Iterable[Manifest]) -> SizeStats:
    """Totals over manifests; see ``Measure``."""
    total = Measure()
    for manifest in manifests:
        total.add(manifest)
    return total.stats


class Measure:
    """Totals over manifests, added one at a time. Memory: one size for each distinct content."""

    def __init__(self) -> None:
        self._logical = self._files = 0
        self._objects: dict[str, tuple[bool, int]] = {}

    def add(self, manifest: Manifest) -> None:
        """Count a manifest. A content counts once, with a certain size if any manifest has one, in any order."""
        objects = self._objects
        for entry in manifest.files:
            self._logical += entry.size
            self._files += 1
            size = (entry.certain_size is not None, entry.size)
            if size > objects.get(entry.checksum, (False, -1)):
                objects[entry.checksum] = size

    @property
    def stats(self) -> SizeStats:
        physical = sum(size for _, size in self._objects.values())
        return SizeStats(self._logical, physical, self._files, len(self._objects))


def _agree(entry: Entry, compared: Entry) -> bool:
    if entry.is_file and compared.is_file:
        return entry == compared
    # The checksum of a directory follows from its files, which are compared themselves.
    return (entry.kind, entry.mode) == (compared.kind, compared.mode)
