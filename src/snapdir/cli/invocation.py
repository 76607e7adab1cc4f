"""One run of one command: its terminal, its Config, its counters."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from snapdir.cli import render
from snapdir.cli.terminal import Terminal, write_output
from snapdir.cli.watching import Watcher
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.model.tags import LATEST
from snapdir.transfer.engine.events import Counters

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Invocation:
    """The objects that the body of a command uses besides its own options.

    Attributes:
        command: Its name.
        limit_rate: The limit as it was typed; empty for none.
        remote: An argument names a store across a network.
        warned: The warnings that were printed.
    """

    terminal: Terminal
    config: Config
    command: str = ""
    limit_rate: str = ""
    remote: bool = False
    counters: Counters = field(default_factory=Counters)
    warned: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self.started

    def run(
        self,
        verb: Callable[..., Awaitable[T]],
        *args: Any,
        show: Callable[[T], None] | None = None,
        figures: Callable[[Counters, float], str] | None = None,
        counted: bool = True,
        preparing: bool = False,
        **options: Any,
    ) -> T:
        """Run a function of the API to its end in an event loop, and show its progress.

        When this returns or raises, the progress line is erased and every warning is printed. The last note of a run
        that was stopped early says what it has kept.

        Args:
            show: For a verb that announces its result (``announce``) before it is done: prints the result then.
            figures: Makes a line of the counters and the seconds, for the end of what shows the progress.
            counted: The verb takes ``counters``.
            preparing: Another run follows, which is the work of the command: only its progress is shown.
        """
        if counted:
            options["counters"] = self.counters
            self.counters.on_name = self._say_name
        call = partial(verb, *args, config=self.config, **options)
        watcher = Watcher(self.terminal) if preparing else self._watcher(transfers=figures is not None)
        result = self._run_to_end(call, show, watcher)
        if self.counters.ignored:
            self.terminal.note(render.ignored(self.counters.ignored))
        watcher.conclude(figures(self.counters, self.seconds) if figures else "")
        return result

    def _say_name(self, name: str, snapshot_id: str) -> None:
        self.terminal.name(name, snapshot_id, self.counters.chosen_by if name == LATEST else {})

    def _run_to_end(self, call: Callable[..., Awaitable[T]], show: Callable[[T], None] | None, watcher: Watcher) -> T:
        from snapdir.cli.loop import Stopped, run_to_end

        kept = ""
        try:
            with watcher, self._logged():
                if show is not None:
                    call = partial(call, announce=_after(watcher.stop, show))
                return run_to_end(call, remote=self.remote)  # uvloop pays for itself only across a network
        except BaseException as error:
            watcher.fail(stopped=isinstance(error, Stopped))
            if isinstance(error, Stopped | SnapdirError):
                kept = render.kept(self.counters)
            if kept and isinstance(error, SnapdirError):
                error.add_note(kept)
                kept = ""
            raise
        finally:
            for warning in dict.fromkeys(self.counters.warnings):
                if warning not in self.warned:
                    self.warned.add(warning)
                    self.terminal.warn(warning)
            if kept:
                self.terminal.note(f"interrupted: {kept}")

    def transfer(self, verb: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        """``run`` with the banner of ``--verbose`` before, and figures of the transfer after it."""
        if self.terminal.verbose:
            self.terminal.detail(self._banner())
        figures = None if options.get("dry_run") else render.summary
        result: T = self.run(verb, *args, figures=figures, **options)
        return result

    def print(self, line: str) -> None:
        """The result of the command, on stdout."""
        write_output(f"{line}\n")

    def _banner(self) -> str:
        """Concurrent requests, and the limit of the rate; without --jobs, a remote store finds their number."""
        from snapdir.stores.settings import LOCAL_REQUESTS as LOCAL
        from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS

        stores, jobs = self.config.stores, self.config.limits.jobs
        if stores.adaptive is not None:
            ceiling = stores.max_concurrency or (MAX_ADAPTIVE_REQUESTS if self.remote else LOCAL)
            return render.adaptive_banner(stores.adaptive, ceiling, self.limit_rate)
        if jobs or not self.remote:
            return render.banner(str(jobs or LOCAL), self.limit_rate)
        from snapdir.stores.s3.store import DEFAULT_CONCURRENCY as REMOTE

        return render.banner(f"up to {REMOTE}", self.limit_rate)

    def _watcher(self, *, transfers: bool) -> Watcher:
        """What shows the progress: a line on a terminal, log lines elsewhere, or events."""
        terminal, interval_seconds = self.terminal, self.terminal.interval_seconds
        if terminal.live:
            from snapdir.cli.progress import ProgressLine

            return ProgressLine(self.counters, terminal)
        if interval_seconds == 0.0:
            return Watcher(terminal)
        if terminal.events:
            from snapdir.cli.events import EventStream

            return EventStream(self.counters, terminal, command=self.command)
        from snapdir.cli.job_lines import JobLines

        return JobLines(self.counters, terminal, command=self.command, transfers=transfers)

    def _logged(self) -> AbstractContextManager[None]:
        """Print what is logged, as --verbose or --log-level asks."""
        if not self.terminal.log_level:
            return nullcontext()
        from snapdir.cli.log_lines import logged

        return logged(self.terminal)


def _after(before: Callable[[], None], show: Callable[[T], None]) -> Callable[[T], None]:
    def announce(result: T) -> None:
        before()
        show(result)

    return announce
