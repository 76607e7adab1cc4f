"""What a measurement of a store and this host found, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from snapdir.model.sizes import GIB

__all__ = ["Advice", "BenchReport", "Bottleneck", "HostRates", "Limit", "Measurement", "Operation"]

Operation = Literal["put", "get", "head", "list", "upload", "download"]
"""Requests of small objects, pages of a listing, and parts up and ranges down of large objects."""

Bottleneck = Literal["store", "latency", "cpu", "disk", "unknown"]
"""``store`` is the network or the store; ``latency`` means that more requests in flight would still help."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One operation at one concurrency.

    Attributes:
        concurrency: Requests in flight.
        request_bytes: Content of one request; 0 where it has none.
        requests: How many ended.
        seconds: From the first request to the end of the last one.
        cpu_seconds: CPU time of this process meanwhile, all its threads together.
    """

    operation: Operation
    concurrency: int
    request_bytes: int
    requests: int
    seconds: float
    cpu_seconds: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    @property
    def bytes_per_second(self) -> float:
        return self.requests_per_second * self.request_bytes

    @property
    def cpu_microseconds_per_request(self) -> float:
        return 1e6 * self.cpu_seconds / self.requests if self.requests else 0.0

    @property
    def cpu_seconds_per_gib(self) -> float:
        moved_bytes = self.requests * self.request_bytes
        return self.cpu_seconds * GIB / moved_bytes if moved_bytes else 0.0

    @property
    def latency_seconds(self) -> float:
        """Mean time of one request: what is in flight, divided by the rate."""
        return self.concurrency / self.requests_per_second if self.requests else 0.0

    @property
    def busy_cores(self) -> float:
        """CPU time of this process in a second."""
        return self.cpu_seconds / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class HostRates:
    """What this host does without a store.

    Attributes:
        cpus: CPUs this process may use, and the threads of the second rate (at most 16).
        hash_bytes_per_second: BLAKE3 in one thread.
        hash_all_cpus_bytes_per_second: BLAKE3 in one thread a CPU.
        disk_write_bytes_per_second: One file, flushed to the disk; 0 where nothing was written.
    """

    cpus: int
    hash_bytes_per_second: float
    hash_all_cpus_bytes_per_second: float
    disk_write_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What bounds one kind of work, and the figures that say so."""

    work: str
    bottleneck: Bottleneck
    reason: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to ask a transfer for.

    Attributes:
        limits: One for each kind of work that could be judged.
        jobs: For ``--jobs``.
        part_bytes: For ``--part-size``.
        memory_bytes: For ``--memory``: what so many parts in flight take, and never less than the default.
    """

    limits: tuple[Limit, ...]
    jobs: int
    part_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All of it.

    Attributes:
        store: The store's URL, without secrets.
        seconds: What measuring took, clean-up included.
        measurements: By operation, then by concurrency. What did not fit into the time is not there.
        leftover: The prefix that could not be emptied, and why; empty when the store is as it was before.
    """

    store: str
    seconds: float
    measurements: tuple[Measurement, ...]
    host: HostRates
    advice: Advice
    leftover: str = ""

    def of(self, *operations: Operation) -> Sequence[Measurement]:
        """The measurements of some operations."""
        return [one for one in self.measurements if one.operation in operations]
