"""What a transfer may use."""

from __future__ import annotations

from dataclasses import dataclass

from snapdir.model.sizes import MIB

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one transfer. Zero means: chosen from the machine or the store.

    Attributes:
        jobs: Requests in flight; 0 lets the engine choose (see ``requests``).
        hash_threads: Threads that hash; 0 is the CPUs, at most 16. More than one is used for large files only.
        memory_bytes: All body bytes held at once; the process needs about 100 MiB besides.
        part_bytes: Size of a part up and of a range down; grown only where an object would need too many parts.
        large_bytes: Objects above this go in parts and ranges.
        batch_files: Files that travel between stages together: a queue hop costs 5.6 µs, shared by 64 it is 0.09.
    """

    jobs: int = 0
    hash_threads: int = 0
    memory_bytes: int = 128 * MIB
    part_bytes: int = 8 * MIB
    large_bytes: int = 16 * MIB
    batch_files: int = 64

    def requests(self, max_concurrency: int) -> int:
        """Requests that may be in flight against a store that takes ``max_concurrency``."""
        return self.jobs or max_concurrency
