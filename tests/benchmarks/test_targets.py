"""Results compared with their targets."""

from __future__ import annotations

import pytest

from benchmarks.results import Run
from benchmarks.summary import summarize
from benchmarks.targets import TARGETS, Measure, Target, standing
from tests.benchmarks.conftest import timed

AGAINST = Target("push-small-5k", Measure.WALL, 0.7, "s5cmd")


@pytest.mark.parametrize(("ours", "verdict"), [(0.69, "met"), (0.7, "met"), (0.71, "missed")])
def test_a_ratio_is_of_medians(ours: float, verdict: str) -> None:
    runs = timed("push-small-5k", "ours", ours, 0.1, 5.0) + timed("push-small-5k", "s5cmd", 1.0, 0.5, 9.0)
    where = standing(AGAINST, summarize(runs))
    assert where.value == pytest.approx(ours)
    assert where.verdict == verdict


def test_a_bar_without_its_rival_is_not_measured() -> None:
    summaries = summarize([*timed("push-small-5k", "ours", 1.0), Run("push-small-5k", "s5cmd", 0, error="exit 1")])
    where = standing(AGAINST, summaries)
    assert (where.ours, where.theirs, where.verdict) == (1.0, None, "not measured")


def test_a_bar_without_ours_is_not_measured() -> None:
    assert standing(AGAINST, summarize(timed("push-small-5k", "s5cmd", 1.0))).verdict == "not measured"


def test_cpu_an_object_leaves_out_the_startup() -> None:
    target = Target("push-small-50k", Measure.CPU_PER_OBJECT, 160e-6)
    runs = timed("push-small-50k", "ours", 9.0, cpu=8.2) + timed("push-one", "ours", 0.3, cpu=0.2)
    assert standing(target, summarize(runs)).value == pytest.approx(160e-6)
    assert standing(target, summarize(runs[:1])).verdict == "not measured"


def test_a_head_rate_is_by_request() -> None:
    target = next(target for target in TARGETS if target.scenario == "head-20k")
    runs = timed("head-20k", "ours", 1.0, cpu=0.6) + timed("head-one", "ours", 1.0, cpu=0.1)
    where = standing(target, summarize(runs))
    assert where.value == pytest.approx(25e-6)
    assert where.verdict == "met"


def test_memory_and_requests_are_absolute() -> None:
    runs = timed("repush-small-50k", "ours", 1.0, peak_rss_bytes=251 << 20, requests={"HeadObject": 3})
    requests = Target("repush-small-50k", Measure.REQUESTS, 2)
    rss = Target("repush-small-50k", Measure.RSS, 250 << 20)
    assert [standing(target, summarize(runs)).verdict for target in (requests, rss)] == ["missed", "missed"]
    assert standing(requests, summarize(timed("repush-small-50k", "ours", 1.0))).verdict == "not measured"
