"""Totals of differences: files and bytes of each kind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from snapdir.model.entry import Entry
from snapdir.transfer.comparing.compare import DiffEntry

__all__ = ["KINDS", "DiffTotals", "Total"]

KINDS = {"A": "added", "D": "deleted", "M": "modified", "R": "renamed", "=": "unchanged"}


@dataclass(slots=True)
class Total:
    """Differences of one kind: how many files, and their bytes on either side."""

    files: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    @property
    def fields(self) -> dict[str, int]:
        return {"files": self.files, "bytes_before": self.bytes_before, "bytes_after": self.bytes_after}

    def add(self, entry: DiffEntry) -> None:
        self.files += 1
        self.bytes_before += entry.before.size if entry.before else 0
        self.bytes_after += entry.after.size if entry.after else 0


@dataclass(frozen=True, slots=True)
class DiffTotals:
    """Totals by the words of ``KINDS``, and the distinct contents of the second side alone."""

    kinds: Mapping[str, Total]
    new_objects: int
    new_bytes: int

    @property
    def new_content(self) -> dict[str, int]:
        return {"objects": self.new_objects, "bytes": self.new_bytes}

    @classmethod
    def of(cls, entries: Iterable[DiffEntry]) -> DiffTotals:
        """The totals of all differences, which must include the unchanged files."""
        kinds = {word: Total() for word in KINDS.values()}
        old: set[str] = set()
        new: dict[str, int] = {}
        for entry in entries:
            kinds[KINDS[entry.status]].add(entry)
            if _is_file(entry.before):
                old.add(entry.before.checksum)
            if _is_file(entry.after):
                new[entry.after.checksum] = entry.after.size
        sizes = [size for checksum, size in new.items() if checksum not in old]
        return cls(kinds, len(sizes), sum(sizes))


def _is_file(entry: Entry | None) -> TypeGuard[Entry]:
    return entry is not None and entry.is_file
