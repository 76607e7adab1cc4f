"""The results of a measurement of a store and this host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from snapdir.model.sizes import GIB

Operation = Literal["put", "get", "head", "list", "upload", "download"]
"""Requests of small objects, pages of a listing, and parts up and ranges down of large objects."""

Bottleneck = Literal["store", "latency", "cpu", "disk", "unknown"]
"""``store`` is the network or the store; ``latency`` means that more concurrent requests would still help."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One operation at one concurrency.

    Attributes:
        concurrency: Concurrent requests.
        request_bytes: Content of a request; 0 without content.
        requests: Completed requests.
        seconds: From the first request to the end of the last one.
        cpu_seconds: CPU time of this process meanwhile, of all threads.
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
        """Mean time of a request: the concurrency divided by the rate."""
        return self.concurrency / self.requests_per_second if self.requests else 0.0

    @property
    def busy_cores(self) -> float:
        """CPU time of this process in a second."""
        return self.cpu_seconds / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class HostRates:
    """Rates of this host, without a store.

    Attributes:
        cpus: CPUs this process may use, and the threads of the second rate (at most 16).
        hash_bytes_per_second: BLAKE3 in one thread.
        hash_all_cpus_bytes_per_second: BLAKE3 in one thread per CPU.
        disk_write_bytes_per_second: One file, flushed to the disk; 0 where nothing was written.
    """

    cpus: int
    hash_bytes_per_second: float
    hash_all_cpus_bytes_per_second: float
    disk_write_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one kind of work, and the figures that show it."""

    work: str
    bottleneck: Bottleneck
    reason: str


@dataclass(frozen=True, slots=True)
class Advice:
    """Suggested options of a transfer.

    Attributes:
        limits: One for each kind of work that was measured.
        jobs: For ``--jobs``.
        part_bytes: For ``--part-size``.
        memory_bytes: For ``--memory``: room for ``jobs`` parts, and never less than the default.
    """

    limits: tuple[Limit, ...]
    jobs: int
    part_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All results.

    Attributes:
        store: The store's URL, without secrets.
        seconds: Time of the measurement, clean-up included.
        measurements: By operation, then by concurrency; those that did not fit into the time are left out.
        leftover: The prefix that could not be emptied, and why; empty if the store is as before.
    """

    store: str
    seconds: float
    measurements: tuple[Measurement, ...]
    host: HostRates
    advice: Advice
    leftover: str = ""

    def of(self, *operations: Operation) -> Sequence[Measurement]:
        """The measurements of some operations."""
        return [measured for measured in self.measurements if measured.operation in operations]
