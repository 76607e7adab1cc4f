"""Sizes of snapshots. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    """

    id: str
    stored_seconds: float | None
    size: SizeStats


def summarise(published: Published, manifest: Manifest) -> SnapshotSummary:
    return SnapshotSummary(str(published.snapshot_id), published.stored_seconds, measure([manifest]))


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
