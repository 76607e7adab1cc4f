"""The event loop behind the blocking functions: one thread per process, started on first use."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from snapdir.disk.descriptors import may_start_uvloop
from snapdir.errors import SnapdirError, local_error

ENDING = (
    "Python is shutting down and starts no threads: call this before the program ends, not in an atexit handler or in"
    " a thread that outlives the main thread"
)

P = ParamSpec("P")
T = TypeVar("T")


class PortalOfProcess:
    """The event loop of this process: opened by the first call, ended at exit, forgotten in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._thread: threading.Thread | None = None
        # Rather than comparing pids at every call: the child's copy of the lock may be held by a thread that only the
        # parent has. (And no context manager is kept that would end a thread the child does not have.)
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``function`` in the loop and wait for it.

        Raises:
            SnapdirError: Python is ending and lets no thread start; what was begun has been cleaned up.
        """
        with _no_late_threads():
            return self._run(self._opened(), Call(function))

    def _run(self, portal: BlockingPortal, call: Call[T]) -> T:
        try:
            return portal.start_task_soon(call.run).result()
        except BaseException:
            if not call.ended.is_set():  # not a failure of the call itself: Ctrl-C
                portal.call(call.cancel)
                call.ended.wait()
            raise

    def managed(self, manager: AbstractAsyncContextManager[T]) -> AbstractContextManager[T]:
        """``manager`` for a plain ``with``; all of it runs in one task of the loop."""
        with _no_late_threads():
            return self._opened().wrap_async_context_manager(manager)

    def close(self) -> None:
        """End the loop's thread when its calls have ended; the next call starts another."""
        with self._lock:
            portal, self._portal = self._portal, None
            thread, self._thread = self._thread, None
        if portal is not None and thread is not None:
            portal.call(portal.stop)
            thread.join()

    def _opened(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                opened: Future[BlockingPortal] = Future()
                self._thread = threading.Thread(target=_serve, args=(opened,), name="snapdir", daemon=True)
                self._thread.start()
                self._portal = opened.result()
            return self._portal

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._portal = self._thread = None


@contextmanager
def _no_late_threads() -> Iterator[None]:
    """Turn the failure to start a thread into our error: some versions of Python start none while they end.

    Once modules are torn down, as in a ``__del__``, no other thread runs, and waiting for one would never end.
    """
    if sys.is_finalizing():
        raise SnapdirError(ENDING)
    try:
        yield
    except RuntimeError as error:
        if threading.main_thread().is_alive():
            raise
        raise SnapdirError(ENDING) from error


def _serve(opened: Future[BlockingPortal]) -> None:
    try:
        anyio.run(_portal_until_stopped, opened, backend_options={"use_uvloop": may_start_uvloop()})
    except BaseException as error:
        if not opened.done():
            opened.set_exception(local_error(error, "event loop") if isinstance(error, OSError) else error)
        elif threading.main_thread().is_alive() or not isinstance(error, RuntimeError):
            raise
        # Else Python is ending: no thread can start to wait for those of the loop, which has ended all the same.


async def _portal_until_stopped(opened: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        opened.set_result(portal)
        await portal.sleep_until_stopped()


class Call(Generic[T]):
    """One function running in the loop. Only ``ended`` is for other threads."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.ended = threading.Event()
        self._function = function
        self._scope: anyio.CancelScope | None = None

    async def run(self) -> T:
        try:
            with anyio.CancelScope() as self._scope:
                return await self._function()
            raise RuntimeError("cancelled by its caller, who is gone")
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """Stop the function at its next wait. Calls start in order: one without a scope by now never will."""
        if self._scope is None:
            self.ended.set()
        else:
            self._scope.cancel()


own_portal = PortalOfProcess()


def as_blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """``function`` as a plain one. Its signature, docstring and defaults stay."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return own_portal.run(partial(function, *args, **kwargs))

    return call
