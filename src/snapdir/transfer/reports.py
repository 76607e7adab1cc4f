"""What a verb found out, as values."""

from __future__ import annotations

from dataclasses import dataclass

from snapdir.model.digest import Digest

__all__ = ["CacheReport"]


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
