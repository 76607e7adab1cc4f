"""One run of one command: its terminal, its Config, its counters."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from snapdir.cli import render
from snapdir.cli.terminal import Terminal, write_output
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.transfer.engine.events import Counters

__all__ = ["Invocation"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the body of a command works with besides its own options.

    Attributes:
        limit_rate: The limit as it was typed; empty for none.
        remote: An argument names a store across a network.
    """

    terminal: Terminal
    config: Config
    limit_rate: str = ""
    remote: bool = False
    counters: Counters = field(default_factory=Counters)

    def run(
        self,
        verb: Callable[..., Awaitable[T]],
        *args: Any,
        show: Callable[[T], None] | None = None,
        counted: bool = True,
        **options: Any,
    ) -> T:
        """Run a function of the API to its end in an event loop, with a progress line on a terminal.

        When this returns or raises, the line is erased and every warning is printed. The last note of a run that was
        stopped early says what it has kept.

        Args:
            show: For a verb that announces its result (``announce``) before it is done: prints the result then.
            counted: The verb takes ``counters``.
        """
        from snapdir.cli.loop import Stopped, run_to_end

        if counted:
            options["counters"] = self.counters
        call = partial(verb, *args, config=self.config, **options)
        kept = ""
        try:
            with self._watched() as stop_watching:
                if show is not None:
                    call = partial(call, announce=_after(stop_watching, show))
                return run_to_end(call, remote=self.remote)  # uvloop pays for itself only across a network
        except (Stopped, SnapdirError) as error:
            kept = render.kept(self.counters)
            if kept and isinstance(error, SnapdirError):
                error.add_note(kept)
                kept = ""
            raise
        finally:
            for warning in dict.fromkeys(self.counters.warnings):
                self.terminal.warn(warning)
            if kept:
                self.terminal.note(f"interrupted: {kept}")

    def transfer(
        self, verb: Callable[..., Awaitable[T]], *args: Any, show: Callable[[T], None] | None = None, **options: Any
    ) -> T:
        """``run`` with the banner of ``--verbose`` before, and one line of figures after it on a terminal."""
        if self.terminal.verbose:
            self.terminal.detail(self._banner())
        return self.measured(render.summary, verb, *args, show=show, **options)

    def measured(
        self, figures: Callable[[Counters, float], str], verb: Callable[..., Awaitable[T]], *args: Any, **options: Any
    ) -> T:
        """``run``, and on a terminal the line that ``figures`` makes of the counters and the seconds, if any."""
        started = time.monotonic()
        result: T = self.run(verb, *args, **options)
        line = figures(self.counters, time.monotonic() - started) if self.terminal.attended else ""
        if line:
            self.terminal.note(line)
        return result

    def print(self, line: str) -> None:
        """The result of the command, on stdout."""
        write_output(f"{line}\n")

    def _banner(self) -> str:
        from snapdir.stores.file.store import DEFAULT_CONCURRENCY
        from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS

        share, ceiling = self.config.stores.adaptive, self.config.stores.max_concurrency
        if share is not None:
            unset = MAX_ADAPTIVE_REQUESTS if self.remote else DEFAULT_CONCURRENCY
            return render.adaptive_banner(share, ceiling or unset, self.limit_rate)
        return render.banner(self._concurrency(DEFAULT_CONCURRENCY), self.limit_rate)

    def _concurrency(self, local: int) -> str:
        """Concurrent requests, in words: without --jobs, a remote store finds their number."""
        if self.config.limits.jobs:
            return str(self.config.limits.jobs)
        if not self.remote:
            return str(local)
        from snapdir.stores.s3.store import DEFAULT_CONCURRENCY

        return f"up to {DEFAULT_CONCURRENCY}"

    @contextmanager
    def _watched(self) -> Iterator[Callable[[], None]]:
        """Draw the progress line; the function that this yields ends it early."""
        if not self.terminal.live:
            yield lambda: None
            return
        from snapdir.cli.progress import ProgressLine

        with ProgressLine(self.counters, color=self.terminal.color) as line:
            yield line.stop


def _after(before: Callable[[], None], show: Callable[[T], None]) -> Callable[[T], None]:
    def announce(result: T) -> None:
        before()
        show(result)

    return announce
