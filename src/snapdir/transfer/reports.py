"""What a verb found out, as values."""

from __future__ import annotations

from dataclasses import dataclass

from snapdir.model.digest import Digest

__all__ = ["CacheReport", "SyncReport"]


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What is wrong with a cache.

    Attributes:
        corrupt: Objects whose bytes hash to something else, sorted.
        missing: Objects that a manifest names and the cache lacks, each with one of its paths, sorted.
        purged: The corrupt objects that were removed.
    """

    corrupt: tuple[Digest, ...]
    missing: tuple[tuple[Digest, str], ...]
    purged: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, or in a dry run would do.

    Attributes:
        snapshots: Ids of the snapshots: the one that was asked for, or all that were new.
        copied, skipped: Distinct objects that were copied, and that the destination had.
        copied_bytes: Bytes of the copied ones; 0 in a dry run.
        pruned: Manifests that the destination had and the source has not.
    """

    snapshots: tuple[Digest, ...]
    copied: int = 0
    skipped: int = 0
    copied_bytes: int = 0
    pruned: int = 0
