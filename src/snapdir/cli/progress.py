"""The progress line: one line of stderr, drawn by its own thread and erased before anything else is printed."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from snapdir.transfer.engine.events import Counters

# rich takes 50 ms of CPU to import: a verb that ends earlier never pays it, and nothing flickers.
FIRST_FRAME_SECONDS = 0.1
FRAME_SECONDS = 0.1
WINDOW_SECONDS = 5.0
BAR_CELLS = 20
SMALLEST_BAR_CELLS = 6
ERASE_LINE = "\r\x1b[2K"
FALLBACK_COLUMNS = 80


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
        """Record that ``total`` units were done by ``now``; the rate since the oldest sample in the window."""
        self._samples.append((now, total))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
        started, before = self._samples[0]
        return max(0.0, total - before) / (now - started) if now > started else 0.0


def fields(counters: Counters, speed: float, glyphs: Glyphs, *, bar_cells: int = BAR_CELLS) -> list[Field]:
    """The pieces of the line: phase, files, bar, bytes, rate, eta. ``speed`` is ``progress_of`` units per second."""
    if counters.phase == "idle":
        return [Field("starting", "bold")]
    total_known = counters.total_is_final and counters.files_total > 0
    phase, bytes_done, bytes_total = counters.stage
    pieces = [Field(phase, "bold"), Field(_files(counters, total_known))]
    if total_known:
        pieces.append(_bar(_done_part(counters), glyphs, bar_cells))
    if bytes_total or bytes_done:
        pieces.append(Field(_bytes(counters, total_known), sacrifice=2))
    if counters.at_work and not speed:
        what = "1 object" if counters.at_work == 1 else f"{counters.at_work} objects"
        pieces.append(Field(f"the store is processing {what}", sacrifice=2))
    if speed and bytes_done:
        pieces.append(Field(f"{_arrow(counters, glyphs)}{format_size(speed)}/s", "cyan", sacrifice=3))
    if speed and total_known:
        done, total = progress_of(counters)
        pieces.append(Field(f"eta {_clock_time(max(0, total - done) / speed)}", sacrifice=4))
    return pieces


def progress_of(counters: Counters) -> tuple[int, int]:
    """Done and total: in bytes, or in files where they are cloned or empty and move no bytes."""
    _, bytes_done, bytes_total = counters.stage
    if bytes_done or counters.is_sending or not counters.files_done:
        return bytes_done, bytes_total
    return counters.files_done, counters.files_total


def _files(counters: Counters, total_known: bool) -> str:
    if not total_known:
        return f"{max(counters.files_total, counters.files_done):,} files"
    if counters.is_sending:
        return f"{_done_part(counters):4.0%}"
    done = min(counters.files_done, counters.files_total)
    return f"{_done_part(counters):4.0%} {done:,}/{counters.files_total:,} files"


def _bytes(counters: Counters, total_known: bool) -> str:
    if not total_known:
        return format_size(counters.bytes_done or counters.bytes_total)
    _, bytes_done, bytes_total = counters.stage
    return f"{format_size(bytes_done)}/{format_size(bytes_total)}"


def _done_part(counters: Counters) -> float:
    """From 0 to 1."""
    done, total = progress_of(counters)
    return min(1.0, max(0.0, done / total)) if total else float(counters.files_done >= counters.files_total)


def _bar(part: float, glyphs: Glyphs, cells: int) -> Field:
    full = int(part * cells)
    return Field(glyphs.full * full + glyphs.empty * (cells - full), "green", sacrifice=1)


def _arrow(counters: Counters, glyphs: Glyphs) -> str:
    if counters.bytes_sent or counters.is_sending:
        return glyphs.up
    return glyphs.down if counters.bytes_received else ""


def _clock_time(seconds: float) -> str:
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


class ProgressLine:
    """Shows ``counters`` ten times a second while the block runs. Reading them costs the workers nothing.

    Every write happens in one thread, and the line is erased before the block is left.
    """

    def __init__(self, counters: Counters, *, color: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._counters = counters
        self._color = color
        self._clock = clock
        self._glyphs = Glyphs.of(sys.stderr.encoding)
        self._speed = Speed()
        self._phase = counters.phase
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_over, name="snapdir-progress", daemon=True)

    def __enter__(self) -> ProgressLine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Erase the line for good, before other output. From any thread; safe to repeat."""
        self._over.set()
        self._thread.join()

    def _draw_until_over(self) -> None:
        if self._over.wait(FIRST_FRAME_SECONDS):
            return
        try:
            console = self._console()
            frame = 0
            while not self._over.is_set():
                self._write(ERASE_LINE + self._frame(console, frame))
                frame += 1
                self._over.wait(FRAME_SECONDS)
            self._write(ERASE_LINE)
        except (OSError, ValueError):
            return  # the terminal was closed: the verb continues without it

    def _console(self) -> Console:
        from rich.console import Console

        return Console(
            file=sys.stderr,
            force_terminal=True,
            color_system="auto" if self._color else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
        )

    def _frame(self, console: Console, number: int) -> str:
        columns = max(1, _columns() - 1)  # a full last column would wrap on some terminals
        console.width = columns
        with console.capture() as captured:
            console.print(self._line(number, columns), end="", no_wrap=True, overflow="crop", crop=True)
        return captured.get()

    def _line(self, number: int, columns: int) -> Text:
        from rich.text import Text

        spinner = Field(self._glyphs.spinner[number % len(self._glyphs.spinner)], "cyan")
        if self._counters.stage[0] != self._phase:
            self._phase, self._speed = self._counters.stage[0], Speed()
        speed = self._speed.per_second(self._clock(), progress_of(self._counters)[0])
        pieces = [spinner, *fields(self._counters, speed, self._glyphs)]
        if sum(len(piece.text) + 1 for piece in pieces) - 1 > columns:
            pieces = [spinner, *fields(self._counters, speed, self._glyphs, bar_cells=SMALLEST_BAR_CELLS)]
        line = Text(" ").join(Text(piece.text, piece.style) for piece in fit(pieces, columns))
        line.truncate(columns, overflow="ellipsis" if self._glyphs.ellipsis else "crop")
        return line

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _columns() -> int:
    """The width of the terminal at stderr, else ``$COLUMNS``, else 80."""
    try:
        measured = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        measured = 0
    declared = os.environ.get("COLUMNS", "")
    return measured or (int(declared) if declared.isdecimal() else 0) or FALLBACK_COLUMNS
