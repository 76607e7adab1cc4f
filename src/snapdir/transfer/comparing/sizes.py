"""Sizes of snapshots. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from snapdir.model.digest import packed
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published


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
        stored_seconds: When its manifest was written (Unix seconds); None if the store does not report it.
        size: Bytes and counts.
        note, labels: Of its pushes, as far as the history knows; the newest of each.
        names: Its names in the store, sorted.
        pushed_at: Time of its newest push in the history (UTC, ``YYYY-MM-DD HH:MM:SS.mmm``); None without one.
    """

    id: str
    stored_seconds: float | None
    size: SizeStats
    note: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    pushed_at: str | None = None


def summarise(published: Published, manifest: Manifest) -> SnapshotSummary:
    return SnapshotSummary(str(published.snapshot_id), published.stored_seconds, measure([manifest]))


def measure(manifests: Iterable[Manifest]) -> SizeStats:
    """Totals over manifests; see ``Measure``."""
    total = Measure()
    for manifest in manifests:
        total.add(manifest)
    return total.stats


class Contents:
    """Distinct contents. Memory: about 170 bytes for each.

    Attributes:
        total_bytes: Of all of them.
    """

    def __init__(self) -> None:
        self.total_bytes = 0
        self._sizes: dict[bytes | str, int] = {}  # twice the size, and one more if it is certain

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, files: Iterable[Entry]) -> None:
        """A content counts once, with a certain size if any entry has one, in any order."""
        sizes = self._sizes
        for entry in files:
            content, is_certain = packed(entry.checksum), entry.certain_size is not None
            known = sizes.get(content, -1)
            if known < 0 or (is_certain, entry.size) > (known & 1, known >> 1):
                sizes[content] = 2 * entry.size + is_certain
                self.total_bytes += entry.size - max(known, 0) // 2


class Measure:
    """Totals over manifests, added one at a time."""

    def __init__(self) -> None:
        self._logical = self._files = 0
        self._contents = Contents()

    def add(self, manifest: Manifest) -> None:
        totals = manifest.totals()
        self._logical += totals.bytes
        self._files += totals.files
        self._contents.add(manifest.files)

    @property
    def stats(self) -> SizeStats:
        return SizeStats(self._logical, self._contents.total_bytes, self._files, len(self._contents))
