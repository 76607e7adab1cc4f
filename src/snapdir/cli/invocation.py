"""One run of one verb: where it speaks, what it may use, what it counted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import snapdir
from snapdir.cli import render
from snapdir.cli.targets import adaptive_ceiling, concurrency, is_remote, required_id
from snapdir.cli.terminal import Terminal, write_output
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.model.digest import ID_DIGITS, Digest, is_hexadecimal
from snapdir.transfer.engine.events import Counters

__all__ = ["Invocation"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the body of a verb works with besides its own options. ``limit_rate`` is the limit as it was typed."""

    terminal: Terminal
    config: Config
    limit_rate: str = ""
    counters: Counters = field(default_factory=Counters)

    def run(
        self, verb: Callable[..., Awaitable[T]], *, store: str | None = None, show: Callable[[T], None] | None = None
    ) -> T:
        """Run ``verb`` to its end in an event loop, with a progress line where somebody watches.

        The line is gone and every warning is out before this returns or raises; the last one says what a run that was
        stopped early has kept.

        Args:
            store: The store it touches, if any: uvloop pays for itself only across a network.
            show: For a verb that announces its result (``announce``) before it is done: what prints it then.
        """
        from snapdir.cli.loop import Stopped, run_to_end

        kept = ""
        try:
            with self._watched() as stop_watching:
                if show is not None:
                    verb = partial(verb, announce=_after(stop_watching, show))
                return run_to_end(verb, remote=store is not None and is_remote(store))
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
        self, verb: Callable[..., Awaitable[T]], *, store: str | None = None, show: Callable[[T], None] | None = None
    ) -> T:
        """``run`` with the banner of ``--verbose`` before, and one line of figures after it on a terminal."""
        if self.terminal.verbose:
            self.terminal.detail(self._banner(store))
        return self.measured(verb, render.summary, store=store, show=show)

    def measured(
        self,
        verb: Callable[..., Awaitable[T]],
        figures: Callable[[Counters, float], str],
        *,
        store: str | None = None,
        show: Callable[[T], None] | None = None,
    ) -> T:
        """``run``, and on a terminal the line that ``figures`` makes of the counters and the seconds, if any."""
        started = time.monotonic()
        result = self.run(verb, store=store, show=show)
        line = figures(self.counters, time.monotonic() - started) if self.terminal.attended else ""
        if line:
            self.terminal.note(line)
        return result

    def full_id(self, snapshot_id: str | None, *, store: str | None = None, path: str | None = None) -> Digest:
        """The id a verb was given, from its first digits if need be: looked for in the cache, and in ``store``.

        Raises:
            SnapdirError: none was given.
            InvalidId, UnknownId, AmbiguousId: it names no snapshot, or several.

        ``path`` is what was given for a directory; it may be an id without its --id.
        """
        if snapshot_id is not None and is_hexadecimal(snapshot_id) and len(snapshot_id) != ID_DIGITS:
            find = partial(snapdir.resolve_id, snapshot_id, store, config=self.config)
            return Digest(self.run(find, store=store))
        return required_id(snapshot_id, path)

    def print(self, line: str) -> None:
        """The verb's result, on stdout."""
        write_output(f"{line}\n")

    def _banner(self, store: str | None) -> str:
        share, ceiling = self.config.stores.adaptive, self.config.stores.max_concurrency
        if share is None:
            return render.banner(concurrency(self.config.limits.jobs, store), self.limit_rate)
        return render.adaptive_banner(share, ceiling or adaptive_ceiling(store), self.limit_rate)

    @contextmanager
    def _watched(self) -> Iterator[Callable[[], None]]:
        """Draw the progress line; what this yields ends it early."""
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
