"""Tables in Markdown."""

from __future__ import annotations

from benchmarks.results import Run
from benchmarks.summary import Spread, summarize
from benchmarks.tables import comparison_table, record_markdown, scenario_table, seconds, table, targets_table
from tests.benchmarks.conftest import MakeRecord, timed


def test_columns_line_up() -> None:
    assert table(("a", "long head"), [("first cell", "1"), ("b", "22")]) == (
        "| a          | long head |\n| ---------- | --------: |\n| first cell |         1 |\n| b          |        22 |"
    )


def test_seconds_show_their_spread_unless_there_is_none() -> None:
    assert seconds(Spread(1.234, 1.2, 1.5)) == "1.23 (1.20–1.50)"
    assert seconds(Spread(1.5, 1.5, 1.5)) == "1.50"
    assert seconds(Spread(158.2, 157.4, 160.0)) == "158 (157–160)"


def test_each_client_has_a_line_with_its_time_as_a_multiple_of_ours() -> None:
    runs = timed("push-a", "ours", 2.0, peak_rss_bytes=50 << 20, requests={"PutObject": 5001})
    runs += timed("push-a", "s5cmd", 5.0)
    lines = scenario_table(summarize(runs), ["push-a"]).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        *("push-a", "ours", "2.00", "0.50", "50", "5,001", "1.00")
    ]
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == [
        "push-a",
        "s5cmd",
        "5.00",
        "0.50",
        "0",
        "",
        "2.50",
    ]


def test_a_failed_client_is_shown_as_such() -> None:
    runs = [*timed("push-a", "ours", 1.0), Run("push-a", "awscrt", 0, error="exit 1: no")]
    assert "| failed" in scenario_table(summarize(runs), ["push-a"])


def test_a_round_that_failed_is_marked() -> None:
    runs = [*timed("push-a", "ours", 1.0), Run("push-a", "ours", 1, error="exit 1: no")]
    assert "1.00*" in scenario_table(summarize(runs), ["push-a"])


def test_bars_show_what_was_asked_for_and_what_was_measured() -> None:
    runs = timed("push-small-5k", "ours", 0.5) + timed("push-small-5k", "s5cmd", 1.0)
    line = targets_table({"fast": summarize(runs)}).splitlines()[2]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("push-small-5k", "fast", "wall ≤ 0.7 × s5cmd", "0.50 s", "1.00 s", "0.50 ×", "met")
    ]


def test_a_bar_that_is_missed_stands_out() -> None:
    runs = timed("push-shards-1g", "ours", 1.0, cpu=1.0)
    lines = [
        line for line in targets_table({"fast": summarize(runs)}, only_measured=True).splitlines() if "CPU" in line
    ]
    assert [line.rstrip(" |").rsplit("|", 1)[1].strip() for line in lines] == ["**missed**"]


def test_bars_that_were_not_measured_can_be_left_out() -> None:
    assert len(targets_table({}, only_measured=True).splitlines()) == 2
    assert "not measured" in targets_table({})


def test_a_record_shows_its_circumstances_and_what_does_not_count(make_record: MakeRecord) -> None:
    text = record_markdown(
        make_record(*timed("push-small-5k", "ours", 1.0), Run("push-a", "x", 0, error="exit 3: sorry"))
    )
    for part in (
        "# fast, 2026-01-02",
        "a CPU, 2 cores, 24 GiB",
        "`0123456789ab`",
        "s3sim",
        "x in push-a: exit 3: sorry",
    ):
        assert part in text


def test_a_comparison_tells_a_change_from_noise() -> None:
    runs = timed("push-a", "old", 1.0, 1.1, requests={"PutObject": 9}, peak_rss_bytes=10 << 20)
    runs += timed("push-a", "new", 2.0, 2.1, requests={"PutObject": 7}, peak_rss_bytes=15 << 20)
    lines = comparison_table(summarize(runs), "old", "new").splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["push-a", "wall", "1.05 (1.00–1.10)", "2.05 (2.00–2.10)", "+95.2 %", ""],
        ["push-a", "CPU", "0.50", "0.50", "+0.0 %", "noise?"],
        ["push-a", "RSS", "10 MiB", "15 MiB", "+50.0 %", ""],
        ["push-a", "requests", "9", "7", "-2", ""],
    ]


def test_a_comparison_with_a_failure_says_so() -> None:
    runs = [*timed("push-a", "new", 1.0), Run("push-a", "old", 0, error="exit 1")]
    assert "failed" in comparison_table(summarize(runs), "old", "new")
