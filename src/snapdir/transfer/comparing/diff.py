"""Differences between two sets of manifests, renamed files among them, and their totals. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import itemgetter
from typing import TypeGuard

from snapdir.errors import SideConflict
from snapdir.model.digest import EMPTY_DIGEST, packed
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest

_path = itemgetter(4)

KINDS = {"A": "added", "D": "deleted", "M": "modified", "R": "renamed", "=": "unchanged"}


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


def union(manifests: Sequence[Manifest], *, side: str = "", last_wins: bool = False) -> Iterator[Entry]:
    """All entries of one side as a stream, in the order of their paths, each path once.

    Args:
        side: Its name, for the error.
        last_wins: If two manifests disagree about a path, the later one counts, instead of an error.

    Raises:
        Conflict: two manifests disagree about a path.
    """
    entries = manifests[0] if len(manifests) == 1 else merge(*manifests, key=_path)
    known: Entry | None = None
    for entry in entries:
        if known is None or known.path != entry.path:
            if known is not None:
                yield known
            known = entry
        elif not _agree(known, entry):
            if not last_wins:
                raise SideConflict(side, entry.path)
            known = entry
    if known is not None:
        yield known


def paired(before: Iterable[Entry], after: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """The entries of two streams, path by path: (old, new), None on the side that lacks the path.

    Args:
        before, after: In the order of their paths, each path once.
    """
    olds, news = iter(before), iter(after)
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.path < new.path):
            yield old, None
            old = next(olds, None)
        elif old is None or new.path < old.path:
            yield None, new
            new = next(news, None)
        else:
            yield old, new
            old, new = next(olds, None), next(news, None)


def compare(before: Iterable[Entry], after: Iterable[Entry], *, unchanged: bool = False) -> Iterator[DiffEntry]:
    """Files that were added, deleted or modified, in the byte order of their paths. A stream of two streams.

    Args:
        before, after: As for ``paired``.
        unchanged: List those that are the same too.
    """
    for old, new in paired(before, after):
        if old is None or new is None:
            only = old or new
            if _is_file(only):
                yield DiffEntry("A" if old is None else "D", only.path, None, old, new)
        elif not (old.is_file or new.is_file):
            continue
        elif not _agree(old, new):
            yield DiffEntry("M", old.path, None, old, new)
        elif unchanged:
            yield DiffEntry("=", old.path, None, old, old)


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
        old: set[bytes | str] = set()
        new: dict[bytes | str, int] = {}
        for entry in entries:
            kinds[KINDS[entry.status]].add(entry)
            if _is_file(entry.before):
                old.add(packed(entry.before.checksum))
            if _is_file(entry.after):
                new[packed(entry.after.checksum)] = entry.after.size
        sizes = [size for checksum, size in new.items() if checksum not in old]
        return cls(kinds, len(sizes), sum(sizes))


def _is_file(entry: Entry | None) -> TypeGuard[Entry]:
    return entry is not None and entry.is_file


def _agree(entry: Entry, compared: Entry) -> bool:
    if entry.is_file and compared.is_file:
        return entry == compared
    # The checksum of a directory follows from its files, which are compared themselves.
    return (entry.kind, entry.mode) == (compared.kind, compared.mode)
