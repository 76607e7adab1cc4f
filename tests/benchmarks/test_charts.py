"""Charts: which bars they show, in which order; none without data. (matplotlib is not in the test extra.)"""

from __future__ import annotations

from pathlib import Path

from benchmarks.charts import CHARTS, clients_of, draw
from benchmarks.results import Run
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import summarize
from tests.benchmarks.conftest import timed

PUSH = next(scenario for scenario in SCENARIOS if scenario.name == "push-small-5k")
WALL, _, MEMORY = CHARTS


def test_there_is_nothing_to_draw_without_a_scenario(tmp_path: Path) -> None:
    assert draw("fast", "about", summarize(timed("push-one", "ours", 1.0)), tmp_path) == []


def test_ours_comes_first_then_from_short_to_long() -> None:
    runs = timed(PUSH.name, "rclone", 4.0, peak_rss_bytes=50 << 20) + timed(
        PUSH.name, "awscrt", 1.0, peak_rss_bytes=99 << 20
    )
    summaries = summarize(runs + timed(PUSH.name, "ours", 3.0, peak_rss_bytes=70 << 20))
    assert [each.peer for each in clients_of(summaries, PUSH, WALL)] == ["ours", "awscrt", "rclone"]
    assert [each.peer for each in clients_of(summaries, PUSH, MEMORY)] == ["ours", "rclone", "awscrt"]
    assert MEMORY.read(summaries[PUSH.name, "ours"]).median == 70


def test_a_client_that_failed_has_no_bar() -> None:
    summaries = summarize([*timed(PUSH.name, "ours", 3.0), Run(PUSH.name, "s5cmd", 0, error="exit 1")])
    assert [each.peer for each in clients_of(summaries, PUSH, WALL)] == ["ours"]
