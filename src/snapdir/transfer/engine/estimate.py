"""The time that a transfer still needs, from its files and bytes together.

A file costs a request, a byte costs the line, and a tree may have many small files or a few large ones. So a transfer
is said to take ``seconds_per_file * files + seconds_per_byte * bytes``, and both numbers are learned from the run: by
least squares over its seconds so far.

Seconds in which only one of them moved say little about the other. So the numbers are learned twice: once expecting
that a file costs little beside its bytes, and once that it costs much. Where the two disagree about the time left, it
cannot be known yet.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from snapdir.model.sizes import KIB
from snapdir.transfer.engine.events import Counters

STEP_SECONDS = 1.0
FEWEST_STEPS = 2
RECENT_STEPS = 6
"""The speed is that of the second half of the run, and of this many steps at least."""
EXPECTED_BYTES_A_FILE = (16 * KIB, 256 * KIB)
"""The bytes that take as long as a file, in the two expectations. Seen: 30 KiB on disks, 600 KiB across a fast line."""
WEIGHT_OF_EXPECTATION = 0.1
"""Against what was seen."""
PART_TO_SEE = 0.05
"""Until this part of the files is done, an expectation counts more: ten large files say little about 2,000."""
LARGEST_DISAGREEMENT = 2.0


class Reading(NamedTuple):
    """The state at one moment.

    Attributes:
        part: Of the work, from 0 to 1; None while its total is not known. It never falls within a phase.
        left_seconds: None while it cannot be known.
    """

    part: float | None
    left_seconds: float | None


class _Cost(NamedTuple):
    seconds_per_file: float
    seconds_per_byte: float

    def of(self, files: int, bytes_: int) -> float:
        return self.seconds_per_file * files + self.seconds_per_byte * bytes_


class _Mark(NamedTuple):
    """What was done by a moment."""

    seconds: float
    files: int
    bytes: int


class Estimate:
    """Reads counters now and then, and estimates. A phase with new totals starts it again."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._marks: deque[_Mark] = deque()
        self._steps = 0
        self._part = 0.0
        self._ff = self._fb = self._bb = self._fs = self._bs = 0.0  # sums of products of files, bytes and seconds

    def read(self, counters: Counters, now: float) -> Reading:
        """Take the counters at ``now``, in seconds of a steady clock."""
        files, bytes_ = counters.done
        here = _Mark(now, files, bytes_)
        if self._marks and files < self._marks[-1].files:
            self._begin()
        if not self._marks:
            self._marks.append(here)
        elif now - self._marks[-1].seconds >= STEP_SECONDS:
            self._take_step(here)
        if not counters.total_is_final or not counters.files_total:
            return Reading(None, None)
        left_files, left_bytes = max(0, counters.files_total - files), max(0, counters.bytes_total - bytes_)
        costs = [self._cost(expected, counters.files_total) for expected in EXPECTED_BYTES_A_FILE]
        lefts = [self._left_seconds(cost, here, left_files, left_bytes) for cost in costs]
        return Reading(self._done_part(costs, here, left_files, left_bytes), _agreed(lefts))

    def _take_step(self, here: _Mark) -> None:
        before = self._marks[-1]
        seconds = here.seconds - before.seconds
        files, bytes_ = here.files - before.files, max(0, here.bytes - before.bytes)
        self._ff += files * files
        self._fb += files * bytes_
        self._bb += bytes_ * bytes_
        self._fs += files * seconds
        self._bs += bytes_ * seconds
        self._steps += 1
        self._marks.append(here)
        while len(self._marks) > max(RECENT_STEPS, self._steps // 2):
            self._marks.popleft()

    def _cost(self, expected_bytes: int, files_total: int) -> _Cost:
        """The cost that fits the run best, expecting that a file costs as much as so many bytes."""
        weight = WEIGHT_OF_EXPECTATION * max(self._ff, (PART_TO_SEE * files_total) ** 2)
        ff, fb = self._ff + weight, self._fb - weight * expected_bytes
        bb = self._bb + weight * expected_bytes * expected_bytes
        return _non_negative_fit(ff, fb, bb, self._fs, self._bs)

    def _left_seconds(self, cost: _Cost, here: _Mark, left_files: int, left_bytes: int) -> float | None:
        """At the speed since the oldest mark."""
        since = self._marks[0]
        done = cost.of(here.files - since.files, here.bytes - since.bytes)
        if self._steps < FEWEST_STEPS or done <= 0 or not (left_files or left_bytes):
            return None
        return cost.of(left_files, left_bytes) * (here.seconds - since.seconds) / done

    def _done_part(self, costs: list[_Cost], here: _Mark, left_files: int, left_bytes: int) -> float:
        cost = costs[0] if any(costs[0]) else _Cost(EXPECTED_BYTES_A_FILE[0], 1.0)
        done, left = cost.of(here.files, max(0, here.bytes)), cost.of(left_files, left_bytes)
        self._part = max(self._part, done / (done + left)) if done + left > 0 else 1.0
        return self._part


def _non_negative_fit(ff: float, fb: float, bb: float, fs: float, bs: float) -> _Cost:
    """The solution of least squares in two unknowns, neither below 0; the arguments are the sums of products."""
    determinant = ff * bb - fb * fb
    if determinant > 0:
        per_file, per_byte = (fs * bb - bs * fb) / determinant, (bs * ff - fs * fb) / determinant
        if per_file >= 0 and per_byte >= 0:
            return _Cost(per_file, per_byte)
    by_files = fs * fs / ff if ff > 0 else 0.0
    by_bytes = bs * bs / bb if bb > 0 else 0.0
    if by_files > by_bytes:
        return _Cost(fs / ff, 0.0)
    return _Cost(0.0, bs / bb) if bb > 0 else _Cost(0.0, 0.0)


def _agreed(lefts: list[float | None]) -> float | None:
    """The mean of estimates that are close to each other; None if they are not, or one is lacking."""
    known = [left for left in lefts if left is not None]
    if len(known) < len(lefts) or max(known) > LARGEST_DISAGREEMENT * min(known):
        return None
    return math.sqrt(max(known) * min(known))
