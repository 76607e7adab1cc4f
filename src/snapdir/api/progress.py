"""A verb that runs while its caller watches, or a bar in a notebook or on a terminal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from snapdir.errors import SnapdirError, ungrouped
from snapdir.model.sizes import format_size
from snapdir.transfer.engine.estimate import Estimate
from snapdir.transfer.engine.events import Counters, Phase

P = ParamSpec("P")
T = TypeVar("T")

INTERVAL_SECONDS = 0.1
NOT_INSTALLED = "a progress bar is drawn by tqdm, which is not installed: pip install '.[notebook]' in the checkout"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a verb at one moment.

    Attributes:
        phase: The current phase; ``files_*`` and ``bytes_*`` belong to it. The phase of a push is ``hashing`` until
            every file is hashed, and then ``transfer`` until the store has all bytes.
        total_is_final: Whether the totals are final; they grow until then.
        objects_sent, bytes_sent, objects_received, bytes_received, objects_skipped: Since the verb began.
        warnings: All warnings so far.
        seconds: Time since the verb began.
        finished: The verb has succeeded, and this is the last state.
        activity: What is going on, for people: ``hashing and sending``.
        left_seconds: An estimate from files and bytes together; None while it cannot be known.
        part: Of the work, from 0 to 1, by the same estimate; None while the total is not known. It falls only when a
            new phase begins.
    """

    phase: Phase
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    total_is_final: bool
    objects_sent: int
    bytes_sent: int
    objects_received: int
    bytes_received: int
    objects_skipped: int
    warnings: tuple[str, ...]
    seconds: float
    finished: bool
    activity: str = ""
    left_seconds: float | None = None
    part: float | None = None

    @property
    def fraction(self) -> float | None:
        """Of the bytes of this phase, from 0 to 1; None while its total is not known. ``part`` counts files too."""
        if self.finished:
            return 1.0
        if not self.total_is_final:
            return None
        done, total = (self.bytes_done, self.bytes_total) if self.bytes_total else (self.files_done, self.files_total)
        return min(1.0, max(0.0, done / total)) if total else 1.0


@dataclass(eq=False)
class Running(Generic[T]):
    """A running verb. ``async for`` gives a Progress ten times a second, and a last one when the verb has succeeded.

    Each Progress is the state at the time of the call; a slow reader misses some.
    """

    _counters: Counters
    _scope: anyio.CancelScope
    _ended: anyio.Event = field(default_factory=anyio.Event)
    _results: list[T] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    _estimate: Estimate = field(default_factory=Estimate)
    _all_told: bool = False

    @property
    def result(self) -> T:
        """The result of the verb.

        Raises:
            RuntimeError: the verb is still running, was cancelled or has failed.
        """
        if not self._results:
            raise RuntimeError("no result yet: leave the `async with` block first")
        return self._results[0]

    def cancel(self) -> None:
        """Stop the verb; leaving the block waits until it has cleaned up."""
        self._scope.cancel()

    def progress(self) -> Progress:
        """The state of this moment."""
        counters, now, finished = self._counters, time.monotonic(), bool(self._results)
        phase, bytes_done, bytes_total = counters.stage
        reading = self._estimate.read(counters, now)
        return Progress(
            phase=phase,
            files_done=counters.files_done,
            files_total=counters.files_total,
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            total_is_final=counters.total_is_final,
            objects_sent=counters.objects_sent,
            bytes_sent=counters.bytes_sent,
            objects_received=counters.objects_received,
            bytes_received=counters.bytes_received,
            objects_skipped=counters.objects_skipped,
            warnings=tuple(counters.warnings),
            seconds=now - self._started,
            finished=finished,
            activity=counters.activity,
            left_seconds=reading.left_seconds,
            part=1.0 if finished else reading.part,
        )

    def __aiter__(self) -> Running[T]:
        return self

    async def __anext__(self) -> Progress:
        if self._all_told:
            raise StopAsyncIteration
        with anyio.move_on_after(INTERVAL_SECONDS):
            await self._ended.wait()
        self._all_told = self._ended.is_set()
        if self._all_told and not self._results:
            raise StopAsyncIteration
        return self.progress()

    async def _run(self, verb: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            with self._scope:
                self._results.append(await verb())
        finally:
            self._ended.set()


@asynccontextmanager
async def running(
    verb: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> AsyncIterator[Running[T]]:
    """Run a verb that takes ``counters``, and watch it.

    ::

        async with snapdir.running(snapdir.push, "dataset", "s3://bucket/sets") as pushing:
            async for progress in pushing:
                print(progress.phase, progress.bytes_done, progress.bytes_total)
        print(pushing.result)

    Leaving the block waits for the verb. If the verb fails, its error ends the block and is raised from it. An
    exception in the block, or a cancellation, stops the verb and waits until it has cleaned up.
    """
    watched: Any = partial(verb, *args, **kwargs)
    counters = watched.keywords.get("counters") or Counters()
    current: Running[T] = Running(counters, anyio.CancelScope())
    with ungrouped("running"):
        async with anyio.create_task_group() as group:
            group.start_soon(current._run, partial(watched, counters=counters))
            yield current


class ProgressBar:
    """A bar of tqdm, which draws a widget in a notebook and text on a terminal.

    Percentage and time left are those of ``Progress``: tqdm's own would count bytes alone.

    Raises:
        SnapdirError: tqdm is not installed.
    """

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise SnapdirError(NOT_INSTALLED) from error
        self._bar: Any = tqdm(total=1.0, bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}{postfix}]")

    def show(self, progress: Progress) -> None:
        bar, left = self._bar, progress.left_seconds
        moved = [(progress.bytes_sent, "sent"), (progress.bytes_received, "received")]
        notes = [f"{format_size(bytes_)} {what}" for bytes_, what in moved if bytes_]
        notes += [] if left is None else [f"eta {bar.format_interval(round(left))}"]
        bar.set_description_str("done" if progress.finished else progress.activity or progress.phase, refresh=False)
        bar.set_postfix_str(", ".join(notes), refresh=False)
        bar.n = progress.part or 0.0
        bar.refresh()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


async def with_progress_bar(verb: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a verb that takes ``counters``, show a bar meanwhile, and return the verb's result.

    ::

        snapshot_id = await snapdir.with_progress_bar(snapdir.push, "dataset", "s3://bucket/sets")

    The bar is drawn by tqdm (``pip install '.[notebook]'`` in the checkout): a widget in a notebook, text on stderr
    elsewhere.

    Raises:
        SnapdirError: tqdm is not installed; the verb was not started.
    """
    with await anyio.to_thread.run_sync(ProgressBar) as bar:  # its import, and its locks, read files
        async with running(verb, *args, **kwargs) as current:
            async for progress in current:
                bar.show(progress)
        return current.result
