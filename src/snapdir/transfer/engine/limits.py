"""The limits of a transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapdir.disk.system import usable_cpus
from snapdir.model.sizes import GIB, MIB

if TYPE_CHECKING:
    from snapdir.stores.base import Store

MAX_WORKER_PROCESSES = 7
"""By default. With this process there are eight, which the walk of one does not keep busy."""

MAX_HASH_THREADS = 16
"""``hash_threads`` alone asks for more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one transfer. Zero adapts to the machine or the store.

    Attributes:
        jobs: Concurrent requests; 0 adapts to the store (see ``workers``).
        hash_threads: Threads that hash; 0 is the CPUs, at most 16. More than one is used for large files only.
        worker_processes: Most processes beside this one that hash small files; each starts when it pays. None is one
            less than ``hashers``, and at most 7; 0 is none.
        memory_bytes: All body bytes held at once, plus 35 MiB and up to 2 KiB per file for the process.
        part_bytes: Size of an uploaded part and of a downloaded range; larger only if an object would need too many.
        large_bytes: Objects above this are transferred in parts and ranges.
        max_manifest_bytes: A longer manifest is neither read nor written; 0 takes any length. A manifest is kept in
            memory until it is whole, so this bounds what an endless response can take.
        batch_files: Files that travel between stages together: a queue hop costs 5.6 µs, shared by 64 it is 0.09.
    """

    jobs: int = 0
    hash_threads: int = 0
    worker_processes: int | None = None
    memory_bytes: int = 128 * MIB
    part_bytes: int = 8 * MIB
    large_bytes: int = 16 * MIB
    batch_files: int = 64
    max_manifest_bytes: int = 4 * GIB

    @property
    def hashers(self) -> int:
        """``hash_threads``, or what 0 stands for on this machine."""
        return self.hash_threads or min(usable_cpus(), MAX_HASH_THREADS)

    @property
    def hash_processes(self) -> int:
        """``worker_processes``, or what None stands for on this machine."""
        if self.worker_processes is not None:
            return self.worker_processes
        return min(self.hashers - 1, MAX_WORKER_PROCESSES)

    def workers(self, *stores: Store) -> int:
        """Tasks that keep the slowest of ``stores`` busy. Beside a store across a network, one on this host never is.

        A store that was opened with ``jobs`` allows as many, or fewer if the process may open fewer files.
        """
        remote = [store for store in stores if store.capabilities.remote]
        allowed = [store.capabilities.max_concurrency for store in remote or stores]
        return min([self.jobs, *allowed] if self.jobs else allowed)
