"""The time that a transfer still needs, from its files and bytes together.

A file costs a request, a byte costs the line, and a tree may have many small files or a few large ones. So a file is
said to cost as much as ``bytes_a_file`` bytes, and the work of a transfer is ``bytes_a_file * files + bytes``. Which
number is true depends on the store and the line. Each of several is tried against the run so far: with the true one,
work and time grow together. Where numbers that fit about equally well disagree about the time left, it cannot be known
yet: seconds in which only files moved, or only bytes, say nothing about the other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from snapdir.model.sizes import KIB
from snapdir.transfer.engine.events import Counters

BYTES_A_FILE = tuple(4**power * KIB for power in range(7))
"""1 KiB to 4 MiB. Seen: 30 KiB on disks, 600 KiB across a fast line."""
STEP_SECONDS = 0.5
MOST_MARKS = 64
"""When there are more, every other one is dropped, and steps become twice as long."""
WINDOW_SECONDS = 10.0
"""The second half of the run counts, and this time at least: bytes come in bursts, and lines change their speed."""
FEWEST_SECONDS = 2.0
TOLERANCE = 0.04
"""Two numbers fit equally well if their errors differ by this part of the time."""
LARGEST_ERROR = 0.3
"""A run that no number explains is not like its beginning: content that was there already counts at once."""
LARGEST_DISAGREEMENT = 2.0


class Reading(NamedTuple):
    """The state at one moment.

    Attributes:
        part: Of the work, from 0 to 1; None while its total is not known. It never falls within a phase. While the
            cost of a file is not known, it is the smallest that may be true.
        left_seconds: None while it cannot be known.
    """

    part: float | None
    left_seconds: float | None


class _Mark(NamedTuple):
    """What was done by a moment."""

    seconds: float
    files: int
    bytes: int


class _Cost(NamedTuple):
    """One explanation of the run.

    Attributes:
        error: The part of the time that it does not explain.
    """

    bytes_a_file: int
    seconds_a_byte: float
    error: float

    def work(self, files: int, bytes_: int) -> int:
        return self.bytes_a_file * files + bytes_


UNKNOWN = [_Cost(bytes_a_file, 0.0, 0.0) for bytes_a_file in BYTES_A_FILE]


class Estimate:
    """Reads counters now and then, and estimates. A phase with new totals starts it again."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._marks: list[_Mark] = []
        self._step_seconds = STEP_SECONDS
        self._part = 0.0

    def read(self, counters: Counters, now: float) -> Reading:
        """Take the counters at ``now``, in seconds of a steady clock."""
        here = _Mark(now, *counters.done)
        if self._marks and here.files < self._marks[-1].files:
            self._begin()
        self._mark(here)
        if not counters.total_is_final or not counters.files_total:
            return Reading(None, None)
        left_files = max(0, counters.files_total - here.files)
        left_bytes = max(0, counters.bytes_total - here.bytes)
        costs = _plausible(self._costs(here))
        done_bytes = max(0, here.bytes)
        part = min(_part(cost.work(here.files, done_bytes), cost.work(left_files, left_bytes)) for cost in costs)
        self._part = max(self._part, part)
        return Reading(self._part, _agreed([cost.seconds_a_byte * cost.work(left_files, left_bytes) for cost in costs]))

    def _mark(self, here: _Mark) -> None:
        if not self._marks or here.seconds - self._marks[-1].seconds >= self._step_seconds:
            self._marks.append(here)
        if len(self._marks) > MOST_MARKS:
            del self._marks[1::2]
            self._step_seconds *= 2

    def _costs(self, here: _Mark) -> list[_Cost]:
        """Each cost with its best speed, by least squares over the times from every mark of the window to now."""
        run_seconds = here.seconds - self._marks[0].seconds
        if run_seconds < FEWEST_SECONDS:
            return UNKNOWN
        since = here.seconds - max(WINDOW_SECONDS, run_seconds / 2)
        tt = tf = tb = ff = fb = bb = 0.0  # sums of products of seconds, files and bytes
        for mark in self._marks:
            if mark.seconds >= since:
                seconds, files, bytes_ = here.seconds - mark.seconds, here.files - mark.files, here.bytes - mark.bytes
                tt, tf, tb = tt + seconds * seconds, tf + seconds * files, tb + seconds * bytes_
                ff, fb, bb = ff + files * files, fb + files * bytes_, bb + bytes_ * bytes_
        costs = []
        for each in BYTES_A_FILE:
            work_seconds, work_squared = each * tf + tb, each * each * ff + 2 * each * fb + bb
            if work_seconds <= 0:
                return UNKNOWN  # nothing has moved, or it turned out wrong
            unexplained = 1 - work_seconds * work_seconds / (work_squared * tt)
            costs.append(_Cost(each, work_seconds / work_squared, math.sqrt(max(0.0, unexplained))))
        return costs


def _part(done: int, left: int) -> float:
    return done / (done + left) if done + left else 1.0


def _plausible(costs: list[_Cost]) -> list[_Cost]:
    """Those that explain the run about as well as the best, if that explains it."""
    least = min(cost.error for cost in costs)
    if least > LARGEST_ERROR:
        return UNKNOWN
    return [cost for cost in costs if cost.error <= least + TOLERANCE]


def _agreed(lefts: list[float]) -> float | None:
    """The geometric mean of the smallest and the largest time; None if they differ too much, or one is not positive."""
    if min(lefts) <= 0 or max(lefts) > LARGEST_DISAGREEMENT * min(lefts):
        return None
    return math.sqrt(max(lefts) * min(lefts))
