"""Medians, spread, and runs that are ignored."""

from __future__ import annotations

from benchmarks.results import Run
from benchmarks.summary import Spread, summarize


def test_a_spread_has_median_and_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)


def test_spreads_overlap_if_they_share_a_value() -> None:
    assert Spread(1, 0.9, 1.2).overlaps(Spread(1.3, 1.2, 1.4))
    assert not Spread(1, 0.9, 1.1).overlaps(Spread(1.3, 1.2, 1.4))


def test_runs_are_grouped_by_scenario_and_client() -> None:
    runs = [
        Run("push-a", "ours", 0, wall_seconds=1.0, user_seconds=0.25, system_seconds=0.25, requests={"PutObject": 3}),
        Run("push-a", "s5cmd", 0, wall_seconds=9.0),
        Run("push-a", "ours", 1, wall_seconds=3.0, user_seconds=0.5, requests={"PutObject": 3, "HeadObject": 2}),
    ]
    summaries = summarize(runs)
    assert list(summaries) == [("push-a", "ours"), ("push-a", "s5cmd")]
    ours = summaries["push-a", "ours"]
    assert ours.rounds == 2
    assert ours.wall == Spread(2.0, 1.0, 3.0)
    assert ours.cpu == Spread(0.5, 0.5, 0.5)
    assert ours.requests == Spread(4, 3, 5)
    assert ours.kinds == {"HeadObject": 1, "PutObject": 3}
    assert summaries["push-a", "s5cmd"].requests is None


def test_a_failed_round_is_left_out_and_told() -> None:
    runs = [
        Run("a", "x", 0, error="exit 1: no"),
        Run("a", "x", 1, wall_seconds=2.0),
        Run("a", "x", 2, error="exit 1: no"),
    ]
    summary = summarize(runs)["a", "x"]
    assert (summary.rounds, summary.wall.median, summary.errors) == (1, 2.0, ("exit 1: no",))


def test_a_client_that_never_succeeds_keeps_its_line() -> None:
    summary = summarize([Run("a", "x", 0, error="timed out")])["a", "x"]
    assert (summary.rounds, summary.errors) == (0, ("timed out",))
