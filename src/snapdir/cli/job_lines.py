"""Lines about a running command for the log of a job: one at its start, one every half minute, one at its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from snapdir.cli.figures import Speed, clock_time, status_line
from snapdir.cli.terminal import print_error
from snapdir.cli.watching import CounterWatcher
from snapdir.transfer.engine.estimate import Estimate

if TYPE_CHECKING:
    from snapdir.cli.terminal import Terminal
    from snapdir.transfer.engine.events import Counters

LOOK_SECONDS = 1.0
USUAL_SECONDS = 30.0
SHORTEST_SECONDS = 0.01
PATIENCE_SECONDS = 2.0


class JobLines(CounterWatcher):
    """Writes the lines of one command. Without an interval of the user's, a quick command writes none.

    Args:
        command: The first word of each line.
        transfers: False for a command that may only read a little: it writes nothing until it has files to count.
    """

    def __init__(self, counters: Counters, terminal: Terminal, *, command: str, transfers: bool) -> None:
        asked_seconds = terminal.interval_seconds
        self._line_seconds = asked_seconds or USUAL_SECONDS
        super().__init__(
            counters,
            terminal,
            first_seconds=PATIENCE_SECONDS if asked_seconds is None else 0.0,
            interval_seconds=max(SHORTEST_SECONDS, min(LOOK_SECONDS, self._line_seconds)),
        )
        self._command = command
        self._transfers = transfers
        self._estimate = Estimate()
        self._speed = Speed()
        self._told = self.began
        self._began_at = time.gmtime()
        self._has_begun = False

    def look(self, now: float) -> None:
        reading, speed = self._estimate.read(self.counters, now), self._speed.per_second(now, self.counters.done[1])
        if not self._has_begun and (self._transfers or self.counters.phase != "idle"):
            self._has_begun = True
            self._write(f"started {time.strftime('%Y-%m-%d %H:%M:%S', self._began_at)} UTC")
        elif self._has_begun and now - self._told >= self._line_seconds:
            self._told = now
            self._write(f"[{clock_time(now - self.began)}] {status_line(self.counters, reading, speed)}")

    def conclude(self, figures: str) -> None:
        if self._has_begun:
            self._write(f"done: {figures}" if figures else f"done in {self._elapsed}")

    def fail(self, *, stopped: bool) -> None:
        if self._has_begun:
            self._write(f"{'stopped' if stopped else 'failed'} after {self._elapsed}")

    @property
    def _elapsed(self) -> str:
        return clock_time(time.monotonic() - self.began)

    def _write(self, text: str) -> None:
        print_error(f"{self._command}: {text}")
