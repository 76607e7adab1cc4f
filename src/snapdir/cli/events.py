"""``--progress json``: everything on stderr as JSON, one event a line. ``docs/json.md`` lists the events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from snapdir.cli.terminal import print_event
from snapdir.cli.watching import CounterWatcher
from snapdir.transfer.engine.estimate import Estimate

if TYPE_CHECKING:
    from snapdir.cli.terminal import Terminal
    from snapdir.transfer.engine.events import Counters


USUAL_SECONDS = 1.0
SHORTEST_SECONDS = 0.01


class EventStream(CounterWatcher):
    """Writes an event at the start, one for the state of the counters every second, and one at the end."""

    def __init__(self, counters: Counters, terminal: Terminal, *, command: str) -> None:
        seconds = max(SHORTEST_SECONDS, terminal.interval_seconds or USUAL_SECONDS)
        super().__init__(counters, terminal, first_seconds=seconds, interval_seconds=seconds)
        self._command = command
        self._estimate = Estimate()

    def __enter__(self) -> Self:
        print_event("start", command=self._command)
        return super().__enter__()

    def look(self, now: float) -> None:
        print_event("progress", **self._state(now))

    def conclude(self, figures: str) -> None:
        del figures
        print_event("end", **self._state(time.monotonic()))

    def fail(self, *, stopped: bool) -> None:
        print_event("stopped" if stopped else "failed", **self._state(time.monotonic()))

    def _state(self, now: float) -> dict[str, Any]:
        counters = self.counters
        reading = self._estimate.read(counters, now)
        files_done, bytes_done = counters.done
        return {
            "command": self._command,
            "activity": counters.activity,
            "seconds": round(now - self.began, 3),
            "files_done": files_done,
            "files_total": counters.files_total,
            "bytes_done": bytes_done,
            "bytes_total": counters.bytes_total,
            "total_is_final": counters.total_is_final,
            "part": None if reading.part is None else round(reading.part, 4),
            "left_seconds": None if reading.left_seconds is None else round(reading.left_seconds, 1),
            "sent": counters.objects_sent,
            "sent_bytes": counters.bytes_sent,
            "received": counters.objects_received,
            "received_bytes": counters.bytes_received,
            "reused": counters.objects_skipped,
        }
