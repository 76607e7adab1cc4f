"""Charts: one file for each measure, and none for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.charts import CHARTS, available, draw
from benchmarks.summary import summarize
from tests.benchmarks.conftest import timed


def test_there_is_nothing_to_draw_without_a_scenario(tmp_path: Path) -> None:
    assert draw("fast", "about", summarize(timed("push-one", "ours", 1.0)), tmp_path) == []


@pytest.mark.skipif(not available(), reason="matplotlib is not installed (the extra bench)")
@pytest.mark.filterwarnings("default")  # matplotlib's own
def test_each_measure_has_its_chart(tmp_path: Path) -> None:
    runs = timed("push-small-5k", "ours", 1.0, 1.2, peak_rss_bytes=50 << 20) + timed("push-small-5k", "s5cmd", 40.0)
    files = draw("fast", "loopback", summarize(runs), tmp_path)
    assert [file.name for file in files] == [f"fast-{chart.name}.png" for chart in CHARTS]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
