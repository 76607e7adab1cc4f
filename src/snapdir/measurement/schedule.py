"""The time of a measurement, shared among its pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

Clock = Callable[[], float]
Kind = Literal["small", "large", "hash", "disk"]

UNITS: Mapping[Kind, float] = {"small": 1.0, "large": 1.5, "hash": 0.5, "disk": 2.0}
"""The weight of each kind of work: large requests need time to reach their speed, and so does a disk."""


class Schedule:
    """Shares ``seconds`` among pieces of work of each kind: a piece that takes longer leaves less to the next ones."""

    def __init__(self, seconds: float, work: Mapping[Kind, int], clock: Clock) -> None:
        self._clock = clock
        self._ends = clock() + seconds
        self._units = sum(UNITS[kind] * pieces for kind, pieces in work.items())

    def slot(self, kind: Kind) -> float:
        """Seconds for the next piece of work; 0 when time is up."""
        share = UNITS[kind] / max(self._units, UNITS[kind])
        self._units -= UNITS[kind]
        return max(0.0, share * (self._ends - self._clock()))
