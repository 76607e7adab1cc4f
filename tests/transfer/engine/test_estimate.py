"""The time left: against what recorded transfers took, and while it cannot be known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.model.sizes import MIB
from snapdir.transfer.engine.estimate import Estimate, Reading
from snapdir.transfer.engine.events import Counters

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))
"""Events of real transfers (``--progress json``), one or two a second, named VERB_TREE_LINE.

Trees: ``small_first``, ``large_first`` and ``mixed`` have 2,000 files of 1 to 20 KB and 10 of 24 MiB, in that order of
their paths; ``images`` 300 of 100 to 900 KB, 500 tiny ones and 2 of 48 MiB; ``one_large`` 1,500 small ones and one of
200 MiB; ``larger`` 10,000 small ones, 200 of 1 to 4 MiB and 10 of 48 MiB; ``small`` and ``shards`` are of one kind.
Lines: ``four_requests`` at a time to a server 25 ms away; ``limited`` to 20 MB/s by ``--limit-rate``;
``slow_connections``, each of 1 MB/s; ``region``, 30 ms away and 80 MB/s a connection. Without a tree in its name, a run
is of another mixed tree."""

FACTOR = 1.5
FROM_PART = 0.2
LAST_SECONDS = 1.0

FALLS_SHORT = {
    # The first burst of a limited line, and parts of 8 MiB that pass it as one.
    "push_mixed_limited": 1.8,
    # Blocks of ten connections arrive together.
    "pull_mixed_slow_connections": 2.5,
    # Large objects first, small ones then, large ones again, within 8 s.
    "fetch_larger_region": 2.4,
}
"""The worst factor of these runs."""


def counters_of(row: dict[str, Any]) -> Counters:
    return Counters("transfer", *(row[name] for name in ("files_total", "bytes_total", "total_is_final")),
                    files_done=row["files_done"], bytes_done=row["bytes_done"])  # fmt: skip


def replayed(file: Path) -> Iterator[tuple[float, float, Reading]]:
    """The part of the duration that is over, the seconds that are left, and the estimate."""
    recorded = json.loads(file.read_text())
    rows = [dict(zip(recorded["columns"], values, strict=True)) for values in recorded["rows"]]
    began, ended = rows[0]["seconds"], rows[-1]["seconds"]
    assert rows[-1]["files_done"] == rows[-1]["files_total"] > 0
    estimate = Estimate()
    for row in rows:
        now = row["seconds"]
        yield (now - began) / (ended - began), ended - now, estimate.read(counters_of(row), now)


def late_readings(file: Path) -> list[tuple[float, float | None]]:
    """The seconds that are left, and the estimate, from FROM_PART of the duration on."""
    return [
        (left, reading.left_seconds)
        for part, left, reading in replayed(file)
        if part >= FROM_PART and left >= LAST_SECONDS
    ]


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_the_time_left_is_right_within_a_factor_or_left_out(file: Path) -> None:
    factor = FALLS_SHORT.get(file.stem, FACTOR)
    for left, estimated in late_readings(file):
        assert estimated is None or left / factor <= estimated <= left * factor


def test_the_time_left_is_known_most_of_the_time() -> None:
    shares = []
    for file in RECORDED:
        known = [estimated is not None for _, estimated in late_readings(file)]
        shares.append(sum(known) / len(known))
    assert sum(shares) / len(shares) >= 0.7


@pytest.mark.parametrize("verb", ["pull", "push", "verify"])
def test_the_time_left_of_files_that_move_together_is_known(verb: str) -> None:
    """Small and large ones at once, or after each other, but both seen early."""
    name = {"pull": "pull_large_first_four_requests", "push": "push_mixed_four_requests"}.get(
        verb, "verify_four_requests"
    )
    late = late_readings(RECORDED[0].with_name(f"{name}.json"))
    assert all(estimated is not None for _, estimated in late)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_the_part_that_is_done_never_falls_and_ends_at_one(file: Path) -> None:
    parts = [reading.part for _, _, reading in replayed(file) if reading.part is not None]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0


def test_without_a_final_total_nothing_is_known() -> None:
    estimate = Estimate()
    for second in range(9):
        counters = Counters("discovering", files_total=100, files_done=10 * second)
        assert estimate.read(counters, second) == Reading(None, None)


def test_a_steady_transfer_of_equal_files_is_known_after_two_seconds() -> None:
    estimate, lefts = Estimate(), []
    for second in range(10):
        counters = Counters("transfer", 100, 100 * MIB, True, 10 * second, 10 * second * MIB)
        lefts.append(estimate.read(counters, float(second)).left_seconds)
    assert lefts[:2] == [None, None]
    assert lefts[2:] == pytest.approx([8, 7, 6, 5, 4, 3, 2, 1])


def test_files_say_nothing_about_bytes_that_never_moved() -> None:
    """Only small files so far, and one of 10 GiB to come: its time cannot be known."""
    estimate = Estimate()
    for second in range(6):
        counters = Counters("transfer", 1001, 10 << 30, True, 100 * second, 100 * second * 1000)
        reading = estimate.read(counters, float(second))
    assert reading.left_seconds is None


def test_a_few_large_files_say_nothing_about_many_small_ones() -> None:
    """One large file a second, and 2,000 small ones to come: the line must not promise an end with the large ones."""
    estimate, lefts = Estimate(), []
    for second, files in enumerate((0, 1, 2, 2, 3, 5, 5, 6, 8, 9)):
        counters = Counters("transfer", 2010, 260 * MIB, True, files, second * 24 * MIB)
        lefts.append(estimate.read(counters, float(second)).left_seconds)
    assert lefts == [None] * 10


@pytest.mark.parametrize(("held_files", "held_bytes"), [(0, 50 << 30), (9_000, 900 * MIB), (9_000, 0)])
def test_what_was_there_already_does_not_count_as_speed(held_files: int, held_bytes: int) -> None:
    """A resumed large object, or files that the store has: done in the first second, and then a slow line."""
    estimate, files_total, bytes_total = Estimate(), held_files + 1_000, held_bytes + 1_000 * MIB
    estimate.read(Counters("transfer", files_total, bytes_total, True), 0.0)
    for second in range(1, 100):
        counters = Counters("transfer", files_total, bytes_total, True)
        counters.files_done, counters.bytes_done = held_files + 10 * second, held_bytes + 10 * second * MIB
        left = estimate.read(counters, float(second)).left_seconds
        assert left is None or (100 - second) / FACTOR <= left <= (100 - second) * FACTOR
        assert left is not None or second < 20


def test_a_phase_with_new_totals_starts_again() -> None:
    estimate = Estimate()
    for second in range(5):
        estimate.read(Counters("transfer", 10, 10 * MIB, True, second, second * MIB), float(second))
    assert estimate.read(Counters("checkout", 10, 10 * MIB, True, 0, 0), 5.0) == Reading(0.0, None)


def test_an_empty_transfer_is_done() -> None:
    assert Estimate().read(Counters("transfer", 0, 0, True), 0.0).left_seconds is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(-5 * MIB, 500 * MIB), st.floats(0, 5)), max_size=30),
    st.integers(1, 1000),
    st.integers(0, 10 << 30),
)
def test_any_course_gives_a_part_between_zero_and_one_and_no_negative_time(
    steps: list[tuple[int, int, float]], files_total: int, bytes_total: int
) -> None:
    estimate, files, bytes_, now, before = Estimate(), 0, 0, 0.0, 0.0
    for more_files, more_bytes, seconds in steps:
        files, bytes_, now = files + more_files, bytes_ + more_bytes, now + seconds
        reading = estimate.read(Counters("transfer", files_total, bytes_total, True, files, bytes_), now)
        assert reading.part is not None
        assert before <= reading.part <= 1.0
        assert reading.left_seconds is None or reading.left_seconds >= 0
        before = reading.part
