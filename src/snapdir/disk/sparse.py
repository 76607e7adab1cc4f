"""Sparse writing: a run of zeros becomes a hole, which takes no room and reads the same. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import or_

from snapdir.disk.system import next_data
from snapdir.model.sizes import KIB

ZERO_RUN_BYTES = 64 * KIB
"""Shorter runs are written: a hole for each would cost more than it saves."""

PAGE_BYTES = 4 * KIB
PROBE_BYTES = ZERO_RUN_BYTES // 2
"""Every long run holds at least one probe. Probing takes 4 µs for 2 MiB; writing that takes 170."""
ZERO_PAGE = bytes(PAGE_BYTES)


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``, except runs of ZERO_RUN_BYTES zeros and more where the file has nothing yet.

    Afterwards the file reaches at least to the end of ``data``. Other threads may write to other places of it.
    """
    done = 0
    for start, end in _zero_runs(data):
        if next_data(descriptor, offset + start, offset + end)[0] == offset + end:
            _write_all(descriptor, data[done:start], offset + done)
            done = end
    _write_all(descriptor, data[done:], offset + done)
    if done and done == len(data) and os.fstat(descriptor).st_size < offset + done:
        os.pwrite(descriptor, b"\0", offset + done - 1)  # ftruncate could cut off what another thread has just written


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _zero_runs(data: memoryview) -> Iterator[tuple[int, int]]:
    """Start and end of each long run of zero pages, in order."""
    if len(data) < ZERO_RUN_BYTES:
        return
    # Two bytes for each probe: a single byte is zero in many arrays of numbers.
    probes = bytes(map(or_, bytes(data[::PROBE_BYTES]), bytes(data[3::PROBE_BYTES])))
    end, probe = 0, probes.find(0)
    while probe >= 0:
        start, end = _pages_around(data, probe * PROBE_BYTES, end)
        if end - start >= ZERO_RUN_BYTES:
            yield start, end
        probe = probes.find(0, max(probe + 1, -(-end // PROBE_BYTES)))


def _pages_around(data: memoryview, probe: int, lowest: int) -> tuple[int, int]:
    """The zero pages from ``probe`` on, and those before it down to ``lowest``."""
    start = end = probe
    while end < len(data) and _is_zero(data[end : end + PAGE_BYTES]):
        end = min(end + PAGE_BYTES, len(data))
    while end > probe and start - PAGE_BYTES >= lowest and _is_zero(data[start - PAGE_BYTES : start]):
        start -= PAGE_BYTES
    return start, end


def _is_zero(page: memoryview) -> bool:
    return not page[0] and not page[-1] and bytes(page) == ZERO_PAGE[: len(page)]
