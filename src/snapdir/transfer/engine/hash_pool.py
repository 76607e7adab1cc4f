"""Threads that hash large files concurrently and stop when their caller is cancelled. Blocking."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, ParamSpec, TypeVar

from snapdir.transfer.engine.interruption import LOOK_SECONDS, check_cancelled

P = ParamSpec("P")
T = TypeVar("T")


class HashPool:
    """For one thread of ``anyio.to_thread``, which submits the files and waits for them.

    While it waits, it looks whether its caller was cancelled; then the block ends, and every hash that calls ``look``
    ends at its next block.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="snapdir-hash")
        self._stopped = threading.Event()
        self._alone: Future[Any] | None = None

    def __enter__(self) -> HashPool:
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if error is not None:
            self._stopped.set()
        self._pool.shutdown(cancel_futures=error is not None)

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do ``work`` in one of the threads, or in this one if no thread can start (while Python ends)."""
        if self._alone is not None:
            work = partial(_after, self._alone, work)
        try:
            return self._pool.submit(work, *args, **kwargs)
        except RuntimeError:
            done: Future[T] = Future()
            try:
                done.set_result(work(*args, **kwargs))
            except Exception as error:
                done.set_exception(error)
            return done

    def submit_alone(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do ``work`` in one thread, and begin later work when it is done: meanwhile it may use as many threads."""
        doing = self.submit(work, *args, **kwargs)
        self._alone = doing
        return doing

    def result(self, working: Future[T]) -> T:
        """The result of the work."""
        while not wait((working,), timeout=LOOK_SECONDS).done:
            check_cancelled()
        return working.result()

    def look(self) -> None:
        """Raise CancelledError if the pool is stopped."""
        if self._stopped.is_set():
            raise CancelledError


def _after(earlier: Future[Any], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    wait((earlier,))
    return work(*args, **kwargs)
