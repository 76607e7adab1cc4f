"""What shows the progress of a running command on stderr."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from snapdir.cli.terminal import Terminal
    from snapdir.transfer.engine.events import Counters


class Watcher:
    """Shows nothing while the block runs, and figures at the end on a terminal or with ``--verbose``."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Show nothing more, before other output. From any thread; safe to repeat."""

    def conclude(self, figures: str) -> None:
        """After the block: the command has succeeded, with these figures, if any."""
        if figures and (self.terminal.attended or self.terminal.verbose):
            self.terminal.note(figures)

    def fail(self, *, stopped: bool) -> None:
        """After the block: the command has failed, or was ``stopped`` by a signal."""


class CounterWatcher(Watcher):
    """Looks at counters now and then, in one thread, which has ended when the block is left.

    Reading counters costs the workers nothing. If stderr is closed, the thread ends and the command continues.

    Args:
        first_seconds: Until the first look.
        interval_seconds: Between two.
    """

    def __init__(
        self, counters: Counters, terminal: Terminal, *, first_seconds: float, interval_seconds: float
    ) -> None:
        super().__init__(terminal)
        self.counters = counters
        self.began = time.monotonic()
        self._first_seconds = first_seconds
        self._interval_seconds = interval_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_until_over, name="snapdir-progress", daemon=True)

    def look(self, now: float) -> None:
        """Called again and again; ``now`` is a time of ``time.monotonic``."""

    def end(self) -> None:
        """Called once after the last look, if there was one."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look_until_over(self) -> None:
        if self._over.wait(self._first_seconds):
            return
        try:
            self.look(time.monotonic())
            while not self._over.wait(self._interval_seconds):
                self.look(time.monotonic())
            self.end()
        except (OSError, ValueError):
            return  # stderr was closed
