"""Records are read back as written, and the newest of each scenario is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.performance_page import newest_summaries, page
from benchmarks.results import Run, latest, load_all, read, write
from benchmarks.scale.arithmetic import scaling_page
from tests.benchmarks.conftest import MakeRecord, timed

PROJECT = Path(__file__).parents[2]


def test_a_record_survives_its_file(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(*timed("push-a", "ours", 1.5, requests={"PutObject": 3}, answers={"WITH_CHECKSUM": 3}))
    file = write(record, tmp_path)
    assert file.name == "20260102T030405-fast.json"
    assert read(file) == record


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="not a record"):
        read(tmp_path / "x.json")


def test_the_newest_record_of_each_scenario_counts(make_record: MakeRecord) -> None:
    old = make_record(
        *timed("push-a", "ours", 1.0), *timed("push-b", "ours", 1.0), recorded="2026-01-01T00:00:00+00:00"
    )
    new = make_record(*timed("push-a", "ours", 2.0), recorded="2026-02-01T00:00:00+00:00")
    failed = make_record(Run("push-a", "ours", 0, error="exit 1"), recorded="2026-03-01T00:00:00+00:00")
    chosen = latest([new, failed, old])
    assert chosen == {"fast": {"push-a": new, "push-b": old}}
    summaries = newest_summaries([new, failed, old])["fast"]
    assert summaries["push-a", "ours"].wall.median == 2.0


def test_clients_of_a_scenario_come_from_one_session(make_record: MakeRecord) -> None:
    old = make_record(
        *timed("push-a", "ours", 1.0), *timed("push-a", "s5cmd", 1.0), recorded="2026-01-01T00:00:00+00:00"
    )
    new = make_record(*timed("push-a", "ours", 2.0), recorded="2026-02-01T00:00:00+00:00")
    assert list(newest_summaries([old, new])["fast"]) == [("push-a", "ours")]


def test_the_page_has_every_profile_that_was_measured(make_record: MakeRecord) -> None:
    runs = timed("push-small-5k", "ours", 0.5) + timed("push-small-5k", "s5cmd", 1.0)
    text = page([make_record(*runs), make_record(*runs, profile="region")], beside=PROJECT / "docs")
    assert "## fast: loopback" in text
    assert "## region: 30 ms" in text
    assert "## tls" not in text
    assert "2 met, 20 not measured" in text
    assert text.count("`python -m benchmarks run`\n") == 2


def test_the_page_without_records_says_what_is_not_measured() -> None:
    assert "22 targets: 22 not measured." in page([], beside=PROJECT / "docs")


def test_the_pages_in_docs_are_those_of_the_records() -> None:
    assert (PROJECT / "docs" / "performance.md").read_text() == page(load_all(), beside=PROJECT / "docs")
    assert (PROJECT / "docs" / "scaling.md").read_text() == scaling_page(load_all())


def test_what_was_measured_on_a_disk_stands_beside_memory(make_record: MakeRecord) -> None:
    memory = make_record(*timed("push-small-5k", "ours", 0.5), *timed("push-small-5k", "s5cmd", 0.7))
    runs = timed("push-small-5k", "ours", 0.9, cpu=0.6)
    disk = make_record(*runs, recorded="2026-02-02T03:04:05+00:00", profile="fast-disk")
    text = page([memory, disk], beside=PROJECT / "docs")
    assert "### fast, on a disk" in text
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["push-small-5k", "ours", "0.50", "0.90", "0.50", "0.60"] in cells
