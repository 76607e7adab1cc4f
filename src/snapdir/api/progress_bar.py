"""A bar that shows a running verb, in a notebook or on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread

from snapdir.api.progress import Progress, running
from snapdir.errors import SnapdirError

P = ParamSpec("P")
T = TypeVar("T")

NOT_INSTALLED = "a progress bar is drawn by tqdm, which is not installed: pip install 'snapdir[notebook]'"


class ProgressBar:
    """A bar of tqdm, which draws a widget in a notebook and text on a terminal.

    Raises:
        SnapdirError: tqdm is not installed.
    """

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise SnapdirError(NOT_INSTALLED) from error
        self._bar: Any = tqdm(unit="B", unit_scale=True, unit_divisor=1024)

    def show(self, progress: Progress) -> None:
        bar = self._bar
        bar.set_description_str("done" if progress.finished else progress.phase, refresh=False)
        bar.total = progress.bytes_total if progress.total_is_final else None
        bar.n = progress.bytes_done
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

    The bar is drawn by tqdm (``pip install 'snapdir[notebook]'``): a widget in a notebook, text on stderr elsewhere.

    Raises:
        SnapdirError: tqdm is not installed; the verb was not started.
    """
    with await anyio.to_thread.run_sync(ProgressBar) as bar:  # its import, and its locks, read files
        async with running(verb, *args, **kwargs) as current:
            async for progress in current:
                bar.show(progress)
        return current.result
