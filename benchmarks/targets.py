"""Target numbers, and whether the summaries of a session meet them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.scenarios import OURS, REFERENCE, S5CMD, SCENARIOS
from benchmarks.summary import Summary

__all__ = ["TARGETS", "Measure", "Standing", "Target", "standing"]

MiB = 1 << 20


class Measure(StrEnum):
    """The quantity that a target limits."""

    WALL = "wall"
    CPU = "CPU"
    CPU_PER_OBJECT = "CPU per object"  # start-up excluded
    RSS = "RSS"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class Target:
    """``measure`` of ours must be at most ``at_most`` seconds, bytes or requests, or times the value of ``against``."""

    scenario: str
    measure: Measure
    at_most: float
    against: str = ""
    profile: str = "fast"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A target with its measurements.

    Attributes:
        ours, theirs: Medians; None if not measured.
        value: The number to compare with ``target.at_most``.
    """

    target: Target
    ours: float | None = None
    theirs: float | None = None

    @property
    def value(self) -> float | None:
        """Ours, or ours divided by theirs."""
        if not self.target.against or self.ours is None:
            return self.ours
        return self.ours / self.theirs if self.theirs else None

    @property
    def verdict(self) -> str:
        """``met``, ``missed`` or ``not measured``."""
        if self.value is None:
            return "not measured"
        return "met" if self.value <= self.target.at_most else "missed"


_W, _C, _R = Measure.WALL, Measure.CPU, Measure.RSS
_BELOW = 250 * MiB

TARGETS = (
    Target("push-small-5k", _W, 0.7, S5CMD),
    Target("push-small-5k", _W, 0.5, REFERENCE),
    Target("pull-small-5k", _W, 0.8, S5CMD),
    Target("pull-small-5k", _W, 1.0, REFERENCE),
    Target("push-small-50k", Measure.CPU_PER_OBJECT, 160e-6),
    Target("pull-small-50k", Measure.CPU_PER_OBJECT, 160e-6),
    Target("push-small-5k", _W, 1.0, S5CMD, profile="region"),
    Target("pull-small-5k", _W, 1.0, S5CMD, profile="region"),
    Target("push-shards-1g", _W, 0.6, S5CMD),
    Target("push-shards-1g", _C, 0.9),
    Target("push-shards-1g", _R, _BELOW),
    Target("pull-shards-1g", _W, 1.0, S5CMD, note="s5cmd verifies nothing"),
    Target("pull-shards-1g", _C, 1.3),
    Target("pull-shards-1g", _R, _BELOW),
    Target("push-big-2x1g", _W, 0.3, REFERENCE),
    Target("push-big-2x1g", _R, _BELOW),
    Target("pull-big-2x1g", _W, 0.3, REFERENCE),
    Target("pull-big-2x1g", _R, _BELOW),
    Target("pull-shards-1g", _C, 1.6, profile="tls"),
    Target("repush-small-50k", Measure.REQUESTS, 2, note="nothing changed"),
    Target("repush-1pct-small-50k", Measure.REQUESTS, 600, note="500 files changed"),
    Target("head-20k", Measure.CPU_PER_OBJECT, 50e-6, note="20,000 HEAD per second of CPU"),
)

_READERS: Mapping[Measure, Callable[[Summary], float | None]] = {
    Measure.WALL: lambda summary: summary.wall.median,
    Measure.CPU: lambda summary: summary.cpu.median,
    Measure.CPU_PER_OBJECT: lambda summary: summary.cpu.median,
    Measure.RSS: lambda summary: summary.rss.median,
    Measure.REQUESTS: lambda summary: summary.requests.median if summary.requests else None,
}


def standing(target: Target, summaries: Mapping[tuple[str, str], Summary]) -> Standing:
    """A target with the measurements of one profile."""
    ours = _measured(target, OURS, summaries)
    theirs = _measured(target, target.against, summaries) if target.against else None
    return Standing(target, ours, theirs)


def _measured(target: Target, peer: str, summaries: Mapping[tuple[str, str], Summary]) -> float | None:
    summary = summaries.get((target.scenario, peer))
    if summary is None or not summary.rounds:
        return None
    value = _READERS[target.measure](summary)
    if target.measure is not Measure.CPU_PER_OBJECT or value is None:
        return value
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == target.scenario)
    startup = summaries.get((scenario.startup, peer))
    if startup is None or not startup.rounds:
        return None
    return max(0.0, value - startup.cpu.median) / scenario.objects
