"""The progress line: one line of stderr, drawn by its own thread and erased before anything else is printed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from snapdir.cli.figures import Field, Glyphs, Speed, fields, fit
from snapdir.cli.terminal import ERASE_LINE
from snapdir.cli.watching import CounterWatcher
from snapdir.transfer.engine.estimate import Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from snapdir.cli.terminal import Terminal
    from snapdir.transfer.engine.events import Counters

# rich takes 50 ms of CPU to import: a verb that ends earlier never pays it, and nothing flickers.
FIRST_FRAME_SECONDS = 0.1
FRAME_SECONDS = 0.1
SMALLEST_BAR_CELLS = 6
FALLBACK_COLUMNS = 80


class ProgressLine(CounterWatcher):
    """Shows ``counters`` ten times a second while the block runs. The line is erased before the block is left."""

    def __init__(self, counters: Counters, terminal: Terminal) -> None:
        super().__init__(counters, terminal, first_seconds=FIRST_FRAME_SECONDS, interval_seconds=FRAME_SECONDS)
        self._glyphs = Glyphs.of(sys.stderr.encoding)
        self._estimate = Estimate()
        self._speed = Speed()
        self._drawn: Console | None = None
        self._frames = 0

    def look(self, now: float) -> None:
        self._drawn = self._drawn or self._console()
        self._write(ERASE_LINE + self._frame(self._drawn, self._frames, now))
        self._frames += 1

    def end(self) -> None:
        self._write(ERASE_LINE)

    def _console(self) -> Console:
        from rich.console import Console

        return Console(
            file=sys.stderr,
            force_terminal=True,
            color_system="auto" if self.terminal.color else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
        )

    def _frame(self, console: Console, number: int, now: float) -> str:
        columns = max(1, _columns() - 1)  # a full last column would wrap on some terminals
        console.width = columns
        with console.capture() as captured:
            console.print(self._line(number, columns, now), end="", no_wrap=True, overflow="crop", crop=True)
        return captured.get()

    def _line(self, number: int, columns: int, now: float) -> Text:
        from rich.text import Text

        spinner = Field(self._glyphs.spinner[number % len(self._glyphs.spinner)], "cyan")
        reading, speed = self._estimate.read(self.counters, now), self._speed.per_second(now, self.counters.done[1])
        pieces = [spinner, *fields(self.counters, reading, speed, self._glyphs)]
        if sum(len(piece.text) + 1 for piece in pieces) - 1 > columns:
            pieces = [spinner, *fields(self.counters, reading, speed, self._glyphs, bar_cells=SMALLEST_BAR_CELLS)]
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
