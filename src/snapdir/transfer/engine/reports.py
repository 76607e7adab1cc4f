"""The results of verbs, as values."""

from __future__ import annotations

from dataclasses import dataclass

from snapdir.errors import CorruptObject, SnapdirError, TransferFailed
from snapdir.model.digest import Digest, SnapshotId
from snapdir.transfer.engine.events import Counters

RESTORE = (
    "`snapdir push --recheck` of a good copy sends missing objects again; `snapdir verify --repair-from DIR`"
    " restores them from a directory"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is missing or corrupt, a path that needs it, and the error that says so."""

    digest: Digest
    path: str
    error: SnapdirError


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """The state of a snapshot in a store.

    Attributes:
        store: The URL of the store.
        object_count: Distinct objects of the snapshot.
        sound_bytes: Bytes of those that hash to their address.
        damage: The others, in the manifest's order.
    """

    id: Digest
    store: str
    object_count: int
    sound_bytes: int
    damage: tuple[Damage, ...]

    @property
    def corrupt(self) -> tuple[Damage, ...]:
        """Objects whose bytes hash to something else."""
        return tuple(damage for damage in self.damage if isinstance(damage.error, CorruptObject))

    @property
    def missing(self) -> tuple[Damage, ...]:
        """Objects that are not in the store."""
        return tuple(damage for damage in self.damage if not isinstance(damage.error, CorruptObject))

    def require_sound(self) -> None:
        """
        Raises:
            ObjectNotFound, CorruptObject: an object is damaged; TransferFailed for several.
        """
        if not self.damage:
            return
        errors = [damage.error for damage in self.damage]
        error = errors[0] if len(errors) == 1 else TransferFailed(f"verify {self.id}", errors)
        if self.missing:
            error.add_note(RESTORE)
        raise error


@dataclass(frozen=True, slots=True)
class CacheReport:
    """The damage in a cache.

    Attributes:
        corrupt: Objects whose bytes hash to something else, sorted.
        missing: Objects that a manifest names and the cache lacks, each with one of its paths, sorted; without those
            that this run removed.
        purged: Corrupt objects and damaged manifests that were removed.
        manifests: Snapshots whose manifest is damaged, or cannot be read.
        needed: Removed objects that a manifest names, each with one of its paths and a snapshot of that path, sorted:
            a fetch of the snapshot brings the object back.
    """

    corrupt: tuple[Digest, ...]
    missing: tuple[tuple[Digest, str], ...]
    purged: tuple[Digest, ...]
    manifests: tuple[Digest, ...] = ()
    needed: tuple[tuple[Digest, str, Digest], ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether no damage is left: there was none, or all of it was removed."""
        return not self.missing and set(self.purged).issuperset([*self.corrupt, *self.manifests])


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of a sync, or of its dry run.

    Attributes:
        snapshots: Ids of the requested snapshot, or of all new ones.
        copied, skipped: Distinct objects that were copied, and those that were in the destination already.
        copied_bytes: Bytes of the copied ones.
        manifests: Manifests that were written.
        pruned_snapshots: Ids of the destination's manifests that the source lacks, sorted.
        files, bytes: Of the snapshots.
        requests_to_send: In a dry run, about how many requests the run would send to stores across a network, without
            those for the history.
    """

    snapshots: tuple[Digest, ...]
    copied: int = 0
    skipped: int = 0
    copied_bytes: int = 0
    manifests: int = 0
    pruned_snapshots: tuple[Digest, ...] = ()
    files: int = 0
    bytes: int = 0
    requests_to_send: int = 0

    @property
    def pruned(self) -> int:
        return len(self.pruned_snapshots)


@dataclass(frozen=True, slots=True)
class PullReport:
    """The result of fetch, checkout or pull, or of their dry runs.

    Attributes:
        id: The whole id of the snapshot.
        objects_received, bytes_received: From the store. Objects of the cache do not count.
        replaced: Files whose different content was replaced.
        pruned: Paths that ``delete`` removed, in that order.
        extra: Paths that are not in the snapshot and stay.
        files, bytes: Of the snapshot, or of the selected part.
        objects_reused: Objects that the cache or the destination had.
        files_to_write: In a dry run, files that would be written.
        objects_to_fetch, bytes_to_fetch: In a dry run, content that would come from the store.
        requests_to_send: In a dry run, about how many requests the run would send to a store across a network.
    """

    id: SnapshotId
    objects_received: int = 0
    bytes_received: int = 0
    replaced: int = 0
    pruned: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    objects_reused: int = 0
    files_to_write: int = 0
    objects_to_fetch: int = 0
    bytes_to_fetch: int = 0
    requests_to_send: int = 0

    @classmethod
    def of(cls, identifier: SnapshotId, counters: Counters) -> PullReport:
        """The result that ``counters`` have counted."""
        return cls(
            identifier,
            counters.objects_received,
            counters.bytes_received,
            counters.files_replaced or len(counters.replaced),
            tuple(counters.pruned),
            tuple(counters.extra),
            files=counters.snapshot_files,
            bytes=counters.snapshot_bytes,
            objects_reused=counters.objects_skipped,
            files_to_write=counters.files_to_write,
            objects_to_fetch=counters.objects_to_fetch,
            bytes_to_fetch=counters.bytes_to_fetch,
            requests_to_send=counters.requests_to_send,
        )
