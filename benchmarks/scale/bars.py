"""The scale table: its scenarios, the command of each, and the numbers to reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.results import Record
from benchmarks.scenarios import OURS, REFERENCE, S5CMD
from benchmarks.summary import Summary, summarize

__all__ = [
    "BARS",
    "BLAKE3",
    "COMMANDS",
    "FULL_FILES",
    "PROFILE",
    "Bar",
    "Quantity",
    "Standing",
    "bar_row",
    "standings",
]

PROFILE = "scale"
FULL_FILES = 1_000_000
MiB = 1 << 20
BLAKE3 = "blake3"


class Quantity(StrEnum):
    """What a bar limits."""

    WALL = "wall"
    CPU = "CPU"
    CPU_PER_FILE = "CPU a file"
    RSS = "RSS"
    REQUESTS = "requests"
    OPENS = "opened files"


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit for ours: seconds, bytes or a count, or a multiple of the time of ``of``.

    Attributes:
        of: A scenario and a client of the same session.
    """

    scenario: str
    quantity: Quantity
    at_most: float
    of: tuple[str, str] | None = None

    @property
    def limit(self) -> str:
        """The limit in words."""
        if self.of is None:
            return f"{self.quantity} ≤ {amount(self.quantity, self.at_most)}"
        scenario, peer = self.of
        return f"{self.quantity} ≤ {self.at_most:.3g} × {peer}" + ("" if scenario == self.scenario else f", {scenario}")


COMMANDS = {
    "id": "snapdir id TREE, an empty cache",
    "id-again": "snapdir id TREE",
    "id-100-changed": "snapdir id TREE, 100 files rewritten with the same size",
    "push": "snapdir push --store s3://... TREE, an empty store and cache",
    "push-again": "snapdir push --store s3://... TREE",
    "push-100-changed": "snapdir push --store s3://... TREE, 100 files rewritten with the same size",
    "pull": "snapdir pull --store s3://... --id ID DIR, an empty cache and destination",
    "pull-again": "snapdir pull --store s3://... --id ID DIR",
    "id-5x": "snapdir id TREE, five times as many files, sparse",
    "id-one-directory": "snapdir id TREE, all files in one directory",
    "id-sparse-64g": "snapdir id TREE, one sparse file of 64 GiB",
    "pull-shards-1g": "snapdir pull --store s3://... --id ID DIR, 32 files of 32 MiB",
    "id-ten-files": "snapdir id TREE, ten files",
}
_Q = Quantity
_REFERENCE_ID = ("id", REFERENCE)
BARS = (
    Bar("id", _Q.WALL, 0.9, _REFERENCE_ID),
    Bar("id", _Q.RSS, 400 * MiB),
    Bar("id-again", _Q.WALL, 0.35, _REFERENCE_ID),
    Bar("id-again", _Q.RSS, 250 * MiB),
    Bar("id-100-changed", _Q.WALL, 0.4, _REFERENCE_ID),
    Bar("id-100-changed", _Q.OPENS, 100),
    Bar("id-5x", _Q.RSS, 600 * MiB),
    Bar("id-one-directory", _Q.WALL, 1.0, ("id-one-directory", REFERENCE)),
    Bar("push", _Q.CPU_PER_FILE, 70e-6),
    Bar("push", _Q.RSS, 400 * MiB),
    Bar("push-again", _Q.WALL, 1.3, ("id-again", OURS)),
    Bar("push-again", _Q.REQUESTS, 3),
    Bar("push-100-changed", _Q.WALL, 1.5, ("id-100-changed", OURS)),
    Bar("push-100-changed", _Q.REQUESTS, 250),
    Bar("pull", _Q.CPU_PER_FILE, 90e-6),
    Bar("pull", _Q.RSS, 400 * MiB),
    Bar("pull-again", _Q.WALL, 0.5, _REFERENCE_ID),
    Bar("id-sparse-64g", _Q.WALL, 1 / 0.9, ("id-sparse-64g", BLAKE3)),
    Bar("pull-shards-1g", _Q.WALL, 1.0, ("pull-shards-1g", S5CMD)),
    Bar("id-ten-files", _Q.CPU, 0.09),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A bar and its measurements.

    Attributes:
        ours, theirs: Medians; None if not measured.
        files: Files of the tree.
        why_not: The error of the run, if it does not count.
    """

    bar: Bar
    ours: float | None = None
    theirs: float | None = None
    files: int = 0
    why_not: str = ""

    @property
    def value(self) -> float | None:
        """The number to compare with the limit."""
        if self.bar.of is None or self.ours is None:
            return self.ours
        return self.ours / self.theirs if self.theirs else None

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, ``failed`` or ``not measured``."""
        if self.value is None:
            return "failed" if self.why_not else "not measured"
        return "met" if self.value <= self.bar.at_most else "missed"


def standings(records: Mapping[str, Record]) -> list[Standing]:
    """Every bar, from the record of its scenario; what it is compared with must be of the same session."""
    return [_standing(bar, records.get(bar.scenario)) for bar in BARS]


def _standing(bar: Bar, record: Record | None) -> Standing:
    if record is None:
        return Standing(bar)
    summaries = summarize(record.runs)
    runs = [run for run in record.runs if run.scenario == bar.scenario and run.peer == OURS]
    files = max((run.files for run in runs), default=0)
    ours = _measured(bar.quantity, summaries.get((bar.scenario, OURS)), files, [run.opens for run in runs])
    theirs = _measured(Quantity.WALL, summaries.get(bar.of), 0, ()) if bar.of else None
    return Standing(bar, ours, theirs, files, next((run.error for run in runs if run.error), ""))


def _measured(quantity: Quantity, summary: Summary | None, files: int, opens: Iterable[int | None]) -> float | None:
    if summary is None or not summary.rounds:
        return None
    if quantity is Quantity.OPENS:
        return max((count for count in opens if count is not None), default=None)
    if quantity is Quantity.REQUESTS:
        return summary.requests.median if summary.requests else None
    if quantity is Quantity.CPU_PER_FILE:
        return summary.cpu.median / files if files else None
    return {Quantity.WALL: summary.wall, Quantity.CPU: summary.cpu, Quantity.RSS: summary.rss}[quantity].median


def amount(quantity: Quantity, value: float) -> str:
    """A measurement with its unit."""
    if quantity is Quantity.RSS:
        return f"{value / MiB:.0f} MiB"
    if quantity is Quantity.CPU_PER_FILE:
        return f"{value * 1e6:.0f} µs"
    if quantity in (Quantity.REQUESTS, Quantity.OPENS):
        return f"{value:,.0f}"
    return f"{value:.2f} s"


def bar_row(where: Standing) -> Sequence[str]:
    """A row of the table of bars."""
    value, bar = where.value, where.bar
    shown = "" if value is None else f"{value:.2f} ×" if bar.of else amount(bar.quantity, value)
    verdict = where.verdict if where.verdict in ("met", "not measured") else f"**{where.verdict}**"
    unit = Quantity.WALL if bar.of else bar.quantity
    return [
        bar.scenario,
        f"{where.files:,}" if where.files else "",
        bar.limit,
        *("" if each is None else amount(unit, each) for each in (where.ours, where.theirs)),
        shown,
        verdict,
    ]
