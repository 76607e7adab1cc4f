"""Medians and spread over rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.results import Run

__all__ = ["Spread", "Summary", "summarize"]


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))

    def overlaps(self, other: Spread) -> bool:
        """Whether the ranges overlap: then the difference of the medians may be noise."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, slots=True)
class Summary:
    """One client in one scenario, over its counted rounds.

    Attributes:
        errors: Errors of the rounds that do not count.
        requests: None if the server does not count.
        kinds: Median requests by kind.
    """

    scenario: str
    peer: str
    rounds: int
    errors: tuple[str, ...]
    wall: Spread
    cpu: Spread
    rss: Spread
    requests: Spread | None
    kinds: dict[str, float]


def summarize(runs: Iterable[Run]) -> dict[tuple[str, str], Summary]:
    """Summaries by (scenario, client), in the order of their first runs."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.scenario, run.peer), []).append(run)
    return {key: _summary(group) for key, group in groups.items()}


def _summary(runs: Sequence[Run]) -> Summary:
    good = [run for run in runs if not run.error]
    # A client without a success keeps its row, without numbers.
    counted = good or [Run(runs[0].scenario, runs[0].peer, 0)]
    requests = [run.request_count for run in counted if run.request_count is not None]
    kinds = sorted({kind for run in counted for kind in run.requests})
    return Summary(
        scenario=runs[0].scenario,
        peer=runs[0].peer,
        rounds=len(good),
        errors=tuple(dict.fromkeys(run.error for run in runs if run.error)),
        wall=Spread.of([run.wall_seconds for run in counted]),
        cpu=Spread.of([run.cpu_seconds for run in counted]),
        rss=Spread.of([float(run.peak_rss_bytes) for run in counted]),
        requests=Spread.of(requests) if requests else None,
        kinds={kind: median(run.requests.get(kind, 0) for run in counted) for kind in kinds},
    )
