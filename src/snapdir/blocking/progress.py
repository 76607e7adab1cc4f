"""``snapdir.running`` without a loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, ParamSpec, TypeVar

import snapdir
from snapdir.api.progress import ProgressBar
from snapdir.blocking.portal import own_portal

P = ParamSpec("P")
T = TypeVar("T")


class Running(Generic[T]):
    """``snapdir.Running`` without a loop: a ``for`` gives a Progress ten times a second."""

    def __init__(self, current: snapdir.Running[T]) -> None:
        self._current = current

    @property
    def result(self) -> T:
        """The result of the verb; RuntimeError before the verb has succeeded."""
        return self._current.result

    def progress(self) -> snapdir.Progress:
        """The state of this moment."""
        return self._current.progress()

    def cancel(self) -> None:
        """Stop the verb; leaving the block waits until it has cleaned up."""

        async def cancel() -> None:
            self._current.cancel()

        own_portal.run(cancel)

    def __iter__(self) -> Iterator[snapdir.Progress]:
        while (progress := own_portal.run(self._next)) is not None:
            yield progress

    async def _next(self) -> snapdir.Progress | None:
        return await anext(self._current, None)


@contextmanager
def running(verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Iterator[Running[T]]:
    """``snapdir.running``: run a verb of this module that takes ``counters``, and watch it.

    ::

        with blocking.running(blocking.push, "dataset", "s3://bucket/sets") as pushing:
            for progress in pushing:
                print(progress.phase, progress.bytes_done, progress.bytes_total)
        print(pushing.result)
    """
    with own_portal.managed(snapdir.running(inspect.unwrap(verb), *args, **kwargs)) as current:
        yield Running(current)


def with_progress_bar(verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``snapdir.with_progress_bar``: run a verb of this module that takes ``counters``, and show a bar meanwhile.

    ::

        snapshot_id = blocking.with_progress_bar(blocking.push, "dataset", "s3://bucket/sets")
    """
    with ProgressBar() as bar:
        with running(verb, *args, **kwargs) as current:
            for progress in current:
                bar.show(progress)
        return current.result
