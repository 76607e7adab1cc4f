"""The limits of a transfer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from snapdir.disk.cgroups import cgroup_memory_bytes
from snapdir.disk.system import usable_cpus
from snapdir.model.sizes import GIB, MIB

if TYPE_CHECKING:
    from snapdir.stores.base import Store

MAX_WORKER_PROCESSES = 7
"""By default. With this process there are eight; more wait for the one that walks."""

MAX_HASH_THREADS = 16
"""``hash_threads`` alone asks for more."""


DEFAULT_MEMORY_BYTES = 128 * MIB
DEFAULT_PART_BYTES = 8 * MIB
MEMORY_SHARE = 8
"""Of limited memory, content in flight takes an eighth: the process itself and the page cache need the rest."""


class Bound(NamedTuple):
    """A limit in effect, and what sets it: ``cgroup``, ``rlimit`` or ``default``."""

    value: int
    source: str


def memory_limit(cgroup_bytes: int | None, address_bytes: int | None) -> Bound | None:
    """The smaller of the limits of the cgroup and of the address space (``ulimit -v``); None without any."""
    limits = ((cgroup_bytes, "cgroup"), (address_bytes, "rlimit"))
    return min((Bound(value, source) for value, source in limits if value is not None), key=_value, default=None)


def memory_share(limit: Bound | None) -> Bound:
    """The memory for content in flight that a process with ``limit`` takes by default: at least one part."""
    if limit is None or limit.value // MEMORY_SHARE >= DEFAULT_MEMORY_BYTES:
        return Bound(DEFAULT_MEMORY_BYTES, "default")
    return Bound(max(DEFAULT_PART_BYTES, limit.value // MEMORY_SHARE // MIB * MIB), limit.source)


def memory_limit_here() -> Bound | None:
    """``memory_limit`` of this process. Costs about 0.1 ms, and waits for no disk."""
    return memory_limit(cgroup_memory_bytes(), _address_bytes())


def default_memory_bytes() -> int:
    """``memory_share`` of this process."""
    return memory_share(memory_limit_here()).value


def _value(bound: Bound) -> int:
    return bound.value


def _address_bytes() -> int | None:
    import resource  # not on every system

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one transfer. Zero adapts to the machine or the store.

    Attributes:
        jobs: Concurrent requests; 0 adapts to the store (see ``workers``).
        hash_threads: Threads that hash; 0 is the CPUs, at most 16. More than one is used for large files only.
        worker_processes: Most processes beside this one that hash small files; each starts when it pays. None is one
            less than ``hashers``, and at most 7; 0 is none.
        memory_bytes: All body bytes held at once, plus about 40 MiB and up to 1 KiB per file for the process. By
            default 128 MiB, or an eighth of the memory that a cgroup or ``ulimit -v`` allows, if that is less.
        max_open_files: Files and connections open at once, besides those of the rest of the process; 0 is what the
            process may open (``ulimit -n``). At least 32. Few keep few requests in flight.
        part_bytes: Size of an uploaded part and of a downloaded range; larger only if an object would need too many.
        large_bytes: Objects above this are transferred in parts and ranges.
        max_manifest_bytes: A longer manifest is neither read nor written; 0 takes any length. A manifest is kept in
            memory until it is whole, so this bounds what an endless response can take.
        batch_files: Files that travel between stages together: a queue hop costs 5.6 µs, shared by 64 it is 0.09.
    """

    jobs: int = 0
    hash_threads: int = 0
    worker_processes: int | None = None
    memory_bytes: int = field(default_factory=default_memory_bytes)
    max_open_files: int = 0
    part_bytes: int = DEFAULT_PART_BYTES
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
