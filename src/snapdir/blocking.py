"""The functions of ``snapdir`` for programs without an event loop: same names, same arguments, plain results.

::

    from snapdir import blocking

    snapshot_id = blocking.push("dataset", "s3://bucket/datasets")

The event loop behind them runs in one thread of its own, started by the first call and ended with the process, so they
also work where a loop runs already (a notebook), from several threads at once, and again in a forked child. An
exception that reaches the caller while it waits (Ctrl-C) cancels the call and waits until it has cleaned up.

Nothing here is written twice: each function is the one of ``snapdir.api``, wrapped, and keeps its signature.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial, wraps
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from snapdir import api
from snapdir.api import (
    CacheReport,
    DiffEntry,
    DiffOptions,
    Manifest,
    ManifestEntry,
    PathType,
    SizeStats,
    SnapshotId,
    StoreUri,
    id_from_manifest,
    manifest_size,
    version,
)

__all__ = [
    "CacheReport",
    "DiffEntry",
    "DiffOptions",
    "Manifest",
    "ManifestEntry",
    "PathType",
    "SizeStats",
    "SnapshotId",
    "StoreUri",
    "checkout",
    "diff",
    "fetch",
    "flush_cache",
    "id",
    "id_from_manifest",
    "manifest",
    "manifest_size",
    "pull",
    "push",
    "push_cached",
    "size",
    "stage",
    "sync",
    "verify",
    "verify_cache",
    "version",
]

P = ParamSpec("P")
T = TypeVar("T")


class PortalOfProcess:
    """The event loop of this process: opened by the first call, ended at exit, forgotten in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._manager: AbstractContextManager[BlockingPortal] | None = None
        # Better than comparing pids at every call: the child's copy of the lock may be held by a thread that only
        # the parent has, and its copy of the loop has no thread at all.
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``function`` in the loop and wait for it."""
        ended = threading.Event()
        future: Future[T] = self._opened().start_task_soon(_reporting_end, function, ended)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # without effect when it is the call's own failure that arrives here
            ended.wait()
            raise

    def close(self) -> None:
        """End the loop's thread; the next call starts another."""
        with self._lock:
            manager, self._manager, self._portal = self._manager, None, None
        if manager is not None:
            manager.__exit__(None, None, None)

    def _opened(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                options = {"use_uvloop": find_spec("uvloop") is not None}
                self._manager = start_blocking_portal(backend_options=options, name="snapdir")
                self._portal = self._manager.__enter__()
            return self._portal

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._portal = self._manager = None


async def _reporting_end(function: Callable[[], Coroutine[Any, Any, T]], ended: threading.Event) -> T:
    try:
        return await function()
    finally:
        ended.set()


_portal = PortalOfProcess()


def _blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """``function`` as a plain one. Its signature, docstring and defaults stay."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return _portal.run(partial(function, *args, **kwargs))

    return call


checkout = _blocking(api.checkout)
diff = _blocking(api.diff)
fetch = _blocking(api.fetch)
flush_cache = _blocking(api.flush_cache)
id = _blocking(api.id)
manifest = _blocking(api.manifest)
pull = _blocking(api.pull)
push = _blocking(api.push)
push_cached = _blocking(api.push_cached)
size = _blocking(api.size)
stage = _blocking(api.stage)
sync = _blocking(api.sync)
verify = _blocking(api.verify)
verify_cache = _blocking(api.verify_cache)
