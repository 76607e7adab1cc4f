"""The snapshots of a store one after another: the size of each, what it shares with those before, what it changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread

from snapdir.errors import HashMismatchError, InvalidManifest, ManifestNotFound, SnapdirError, ungrouped
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Published, Repository
from snapdir.stores.workers import run_workers
from snapdir.transfer.comparing.diff import DiffEntry, compare, paired, union
from snapdir.transfer.comparing.manifests import TEXT_FACTOR
from snapdir.transfer.comparing.sizes import Contents, SizeStats
from snapdir.transfer.engine.limits import Limits


@dataclass(frozen=True, slots=True)
class SnapshotChanges:
    """The files of a snapshot compared with those of another.

    Attributes:
        previous_id: The other one; None if there is none, so that every file is added.
        added, removed, modified: Numbers of files.
        bytes_added, bytes_removed: Sizes of added and removed files; a modified one counts on both sides.
        listed: The first of them in the order of paths.
    """

    previous_id: str | None
    added: int
    removed: int
    modified: int
    bytes_added: int
    bytes_removed: int
    listed: tuple[DiffEntry, ...]

    @property
    def left_out(self) -> int:
        """How many are not listed."""
        return self.added + self.removed + self.modified - len(self.listed)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One snapshot.

    Attributes:
        new_bytes: Of contents that no earlier snapshot has, each counted once.
        changes: Since the snapshot before.
    """

    files: int
    size_bytes: int
    new_bytes: int
    changes: SnapshotChanges


@dataclass(frozen=True, slots=True)
class Neighbours:
    """All snapshots by their ids, their totals, and for each manifest that cannot be read the reason."""

    snapshots: Mapping[str, Neighbour]
    total: SizeStats
    unreadable: Mapping[str, SnapdirError]


async def compare_neighbours(
    source: Repository, published: Sequence[Published], *, limits: Limits, max_listed: int
) -> Neighbours:
    """Compare each snapshot with the one before it in ``published``, past those that cannot be read.

    Args:
        max_listed: Of the changes of a snapshot.

    Raises:
        StoreError: the store fails.
    Cost: a request for each snapshot, concurrently. Memory: ``limits.memory_bytes`` or two manifests, and one size for
        each distinct content.
    """
    comparison = _Comparison(max_listed)
    unreadable: dict[str, SnapdirError] = {}
    for group in _groups(published, limits.memory_bytes // TEXT_FACTOR):
        read = await _read(group, source, unreadable, limits)
        await anyio.to_thread.run_sync(comparison.add_all, read)
    return Neighbours(comparison.snapshots, comparison.total, unreadable)


def _groups(published: Iterable[Published], max_bytes: int) -> Iterator[list[Published]]:
    """Manifests that are read together, in their order: at most ``max_bytes`` of text, or one."""
    group: list[Published] = []
    room = max_bytes
    for snapshot in published:
        if group and snapshot.manifest_bytes > room:
            yield group
            group, room = [], max_bytes
        group.append(snapshot)
        room -= snapshot.manifest_bytes
    if group:
        yield group


async def _read(
    group: Sequence[Published], source: Repository, unreadable: dict[str, SnapdirError], limits: Limits
) -> list[tuple[str, Manifest]]:
    found: dict[str, Manifest] = {}

    async def read(snapshot: Published) -> None:
        try:
            found[snapshot.snapshot_id] = await source.read_manifest(snapshot.snapshot_id)
        except (HashMismatchError, InvalidManifest, ManifestNotFound) as error:
            unreadable[snapshot.snapshot_id] = error

    with ungrouped(f"read the manifests of {source.url}"):
        await run_workers(group, read, workers=limits.workers(source.store))
    return [(str(each.snapshot_id), found[each.snapshot_id]) for each in group if each.snapshot_id in found]


class _Comparison:
    """The snapshots so far."""

    def __init__(self, max_listed: int) -> None:
        self.snapshots: dict[str, Neighbour] = {}
        self._max_listed = max_listed
        self._before = Manifest(())
        self._previous_id: str | None = None
        self._contents = Contents()

    @property
    def total(self) -> SizeStats:
        files = sum(each.files for each in self.snapshots.values())
        logical = sum(each.size_bytes for each in self.snapshots.values())
        return SizeStats(logical, self._contents.total_bytes, files, len(self._contents))

    def add_all(self, manifests: Iterable[tuple[str, Manifest]]) -> None:
        for snapshot_id, manifest in manifests:
            self._add(snapshot_id, manifest)

    def _add(self, snapshot_id: str, manifest: Manifest) -> None:
        before, after = (union([each], last_wins=True) for each in (self._before, manifest))
        differing = [(old, new) for old, new in paired(before, after) if old != new]
        known_bytes = self._contents.total_bytes
        self._contents.add(new for _, new in differing if new is not None and new.is_file)
        totals = manifest.totals()
        differences = compare(
            (old for old, _ in differing if old is not None), (new for _, new in differing if new is not None)
        )
        self.snapshots[snapshot_id] = Neighbour(
            files=totals.files,
            size_bytes=totals.bytes,
            # Below zero if a size turns out to be that of a link's text, not of its content.
            new_bytes=max(self._contents.total_bytes - known_bytes, 0),
            changes=_changes(self._previous_id, list(differences), self._max_listed),
        )
        self._before, self._previous_id = manifest, snapshot_id


def _changes(previous_id: str | None, differences: Sequence[DiffEntry], max_listed: int) -> SnapshotChanges:
    statuses = [each.status for each in differences]
    return SnapshotChanges(
        previous_id,
        added=statuses.count("A"),
        removed=statuses.count("D"),
        modified=statuses.count("M"),
        bytes_added=sum(each.after.size for each in differences if each.after is not None),
        bytes_removed=sum(each.before.size for each in differences if each.before is not None),
        listed=tuple(differences[:max_listed]),
    )
