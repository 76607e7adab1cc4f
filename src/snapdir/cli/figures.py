"""The figures of a running transfer, as pieces of a line: what is going on, how much is done, how long it will take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from snapdir.transfer.engine.estimate import Reading
    from snapdir.transfer.engine.events import Counters

WINDOW_SECONDS = 5.0
BAR_CELLS = 20


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The drawing characters that the encoding of stderr has."""

    spinner: str
    full: str
    empty: str
    up: str
    down: str
    ellipsis: bool

    @classmethod
    def of(cls, encoding: str | None) -> Glyphs:
        if (encoding or "").lower().replace("-", "").startswith("utf"):
            return cls("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━", "─", "↑", "↓", True)
        return cls("|/-\\", "#", "-", "up ", "down ", False)


@dataclass(frozen=True, slots=True)
class Field:
    """One piece of the line. The one with the highest ``sacrifice`` goes first when the terminal is narrow."""

    text: str
    style: str = ""
    sacrifice: int = 0


class Speed:
    """Units per second over the last five seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def per_second(self, now: float, total: int) -> float:
        """Record that ``total`` units were done by ``now``; the rate since the oldest sample in the window.

        A total that is far smaller than the last one begins a new phase.
        """
        if self._samples and total < self._samples[-1][1] // 2:
            self._samples.clear()
        self._samples.append((now, total))
        while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW_SECONDS:
            self._samples.popleft()
        started, before = self._samples[0]
        return max(0.0, total - before) / (now - started) if now > started else 0.0


def fields(
    counters: Counters, reading: Reading, speed: float, glyphs: Glyphs, *, bar_cells: int = BAR_CELLS
) -> list[Field]:
    """The pieces of the progress line: activity, part, files, bar, bytes, rate, eta. ``speed`` is in bytes a second."""
    if counters.phase == "idle":
        return [Field("starting", "bold")]
    pieces = [Field(counters.activity, "bold")]
    if reading.part is not None:
        pieces += [Field(f"{reading.part:4.0%}"), _bar(reading.part, glyphs, bar_cells)]
    pieces.append(Field(_files(counters), sacrifice=2))
    if counters.bytes_total or counters.done[1]:
        pieces.append(Field(_bytes(counters), sacrifice=3))
    if counters.at_work and not speed:
        pieces.append(Field(_at_work(counters), sacrifice=2))
    if speed and counters.done[1]:
        pieces.append(Field(f"{_arrow(counters, glyphs)}{format_size(speed)}/s", "cyan", sacrifice=4))
    if reading.left_seconds is not None:
        pieces.append(Field(f"eta {clock_time(reading.left_seconds)}", sacrifice=1))
    return pieces


def status_line(counters: Counters, reading: Reading, speed: float) -> str:
    """The same figures in plain words, for a log."""
    if counters.phase == "idle":
        return "starting"
    part = "" if reading.part is None else f" {reading.part:.0%}"
    pieces = [f"{counters.activity}{part}", _files(counters)]
    if counters.bytes_total or counters.done[1]:
        pieces.append(_bytes(counters))
    if counters.at_work and not speed:
        pieces.append(_at_work(counters))
    if speed and counters.done[1]:
        pieces.append(f"{format_size(speed)}/s")
    if reading.left_seconds is not None:
        pieces.append(f"eta {clock_time(reading.left_seconds)}")
    return ", ".join(pieces)


def _files(counters: Counters) -> str:
    done, total = counters.done[0], counters.files_total
    if not (counters.total_is_final and total):
        return f"{max(total, counters.files_done):,} files"
    return f"{min(done, total):,}/{total:,} files"


def _bytes(counters: Counters) -> str:
    done, total = counters.done[1], counters.bytes_total
    if not counters.total_is_final:
        return format_size(done or total)
    return f"{format_size(max(0, min(done, total)))}/{format_size(total)}"


def _at_work(counters: Counters) -> str:
    what = "1 object" if counters.at_work == 1 else f"{counters.at_work} objects"
    return f"the store is processing {what}"


def _bar(part: float, glyphs: Glyphs, cells: int) -> Field:
    full = int(part * cells)
    return Field(glyphs.full * full + glyphs.empty * (cells - full), "green", sacrifice=2)


def _arrow(counters: Counters, glyphs: Glyphs) -> str:
    if counters.bytes_to_send or counters.bytes_sent:
        return glyphs.up
    return glyphs.down if counters.bytes_received else ""


def clock_time(seconds: float) -> str:
    """``1:02`` or ``1:02:03``."""
    minutes, rest = divmod(min(round(seconds), 359_999), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fit(pieces: list[Field], columns: int) -> list[Field]:
    """Drop pieces, the least important first, until the line (with blanks between them) fits in ``columns``."""
    kept = list(pieces)
    while sum(len(piece.text) + 1 for piece in kept) - 1 > columns:
        dispensable = max(kept, key=lambda piece: piece.sacrifice)
        if not dispensable.sacrifice:
            break
        kept.remove(dispensable)
    return kept
