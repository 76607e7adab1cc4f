"""The bottlenecks of the measured rates, and advice. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from snapdir.measurement.report import Advice, Bottleneck, HostRates, Limit, Measurement, Operation
from snapdir.model.sizes import MIB, format_size
from snapdir.transfer.engine.limits import Limits

JUDGED: tuple[Operation, ...] = ("put", "get", "head", "upload", "download")
MAX_JOBS = 256
MAX_ADVISED_PART_BYTES = 64 * MIB
GOOD_ENOUGH = 0.9
"""Fewer concurrent requests are good enough if they reach this share of the best rate."""
STILL_CLIMBING = 1.25
"""The highest concurrency is still limited by latency if it is faster than the one before by this factor."""
BUSY_CORE = 0.7
"""One event loop drives all requests: with this much CPU per second, or more, the CPU is the limit."""
LATENCY_SHARE = 0.1
"""Waiting for the first byte of a part should take at most this share of its time."""


def advise(
    measurements: Sequence[Measurement], host: HostRates, *, memory_bytes: int = Limits().memory_bytes
) -> Advice:
    """Name the limits of small and large objects, and suggest concurrent requests, part size and memory.

    Args:
        memory_bytes: The default memory of a transfer: parts are not enlarged beyond it.
    """
    curves = {operation: _curve(measurements, operation) for operation in JUDGED}
    small = max(_jobs(curves["put"]), _jobs(curves["get"]))
    hashed = host.hash_all_cpus_bytes_per_second
    large = max(
        _jobs(curves["upload"], hashed),
        _jobs(curves["download"], min(hashed, host.disk_write_bytes_per_second or hashed)),
    )
    part_bytes = _part_bytes(curves["download"], curves["head"], memory_bytes // max(large, 1))
    return Advice(
        limits=tuple(_limits(curves, host)),
        jobs=max(small, large, 1),
        part_bytes=part_bytes,
        memory_bytes=max(memory_bytes, large * part_bytes),
    )


def _curve(measurements: Sequence[Measurement], operation: Operation) -> list[Measurement]:
    return sorted(
        (measured for measured in measurements if measured.operation == operation and measured.requests_per_second > 0),
        key=lambda measured: measured.concurrency,
    )


def _jobs(curve: Sequence[Measurement], useful_bytes_per_second: float = math.inf) -> int:
    """The fewest concurrent requests that are about as fast as any; twice the most measured if more would help.

    Args:
        useful_bytes_per_second: The rate of the rest of the host: the store need not be faster.
    """
    if not curve:
        return 0
    best = max(curve, key=lambda measured: measured.requests_per_second)
    if _climbs(curve) and best.bytes_per_second < useful_bytes_per_second:
        return min(2 * curve[-1].concurrency, MAX_JOBS)
    share = min(1.0, useful_bytes_per_second / best.bytes_per_second) if best.bytes_per_second else 1.0
    good_enough = GOOD_ENOUGH * share * best.requests_per_second
    return next(measured.concurrency for measured in curve if measured.requests_per_second >= good_enough)


def _climbs(curve: Sequence[Measurement]) -> bool:
    """Whether the highest concurrency still paid, with CPU to spare for more."""
    if len(curve) < 2 or curve[-1].busy_cores >= BUSY_CORE:
        return False
    before = max(measured.requests_per_second for measured in curve[:-1])
    return curve[-1].requests_per_second >= STILL_CLIMBING * before


def _part_bytes(ranges: Sequence[Measurement], heads: Sequence[Measurement], room_bytes: int) -> int:
    """The default, or a larger part if latency takes much of its time and it fits into ``room_bytes``."""
    smallest = Limits().part_bytes
    if not ranges or not heads:
        return smallest
    latency_seconds = heads[0].latency_seconds
    streaming_seconds = max(ranges[0].latency_seconds - latency_seconds, 1e-6)
    wanted_bytes = latency_seconds / LATENCY_SHARE * ranges[0].request_bytes / streaming_seconds
    part_bytes = smallest
    while part_bytes < wanted_bytes and 2 * part_bytes <= min(room_bytes, MAX_ADVISED_PART_BYTES):
        part_bytes *= 2
    return part_bytes


def _limits(curves: dict[Operation, list[Measurement]], host: HostRates) -> list[Limit]:
    limits = []
    if curves["put"]:
        limits.append(_of_small("push of small files", curves["put"]))
    if curves["get"]:
        limits.append(_of_small("pull of small files", curves["get"]))
    if curves["upload"]:
        limits.append(_of_large("push of large files", curves["upload"], host, disk_bytes_per_second=0.0))
    if curves["download"]:
        limits.append(_of_large("pull of large files", curves["download"], host, host.disk_write_bytes_per_second))
    return limits


def _of_small(work: str, curve: Sequence[Measurement]) -> Limit:
    best = max(curve, key=lambda measured: measured.requests_per_second)
    figure = f"{best.requests_per_second:,.0f} requests/s with {best.concurrency} in flight"
    return Limit(work, *_waited_for(curve, best, figure))


def _of_large(work: str, curve: Sequence[Measurement], host: HostRates, disk_bytes_per_second: float) -> Limit:
    """The slowest link of the chain; a disk rate of 0 leaves out the disk."""
    best = max(curve, key=lambda measured: measured.bytes_per_second)
    moved = best.bytes_per_second
    figure = f"{format_size(moved)}/s with {best.concurrency} in flight"
    hashed = host.hash_all_cpus_bytes_per_second
    slower: dict[Bottleneck, tuple[float, str]] = {}
    if 0 < disk_bytes_per_second < moved:
        slower["disk"] = disk_bytes_per_second, "the disk writes only"
    if 0 < hashed < moved:
        slower["cpu"] = hashed, "BLAKE3 hashes only"
    if not slower:
        return Limit(work, *_waited_for(curve, best, figure))
    name = min(slower, key=lambda each: slower[each][0])
    rate, does = slower[name]
    return Limit(work, name, f"{does} {format_size(rate)}/s; the store transfers {figure}")


def _waited_for(curve: Sequence[Measurement], best: Measurement, figure: str) -> tuple[Bottleneck, str]:
    if best.busy_cores >= BUSY_CORE:
        return "cpu", f"{figure} keep {best.busy_cores:.1f} CPUs of this host busy"
    if _climbs(curve):
        return "latency", f"{figure}, and more in flight would still be faster"
    if len(curve) < 2:
        return "unknown", f"{figure}; there was time for one concurrency only"
    return "store", f"{figure}; other concurrencies are not faster; {best.busy_cores:.1f} CPUs of this host busy"
