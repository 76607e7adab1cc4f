"""The functions of ``snapdir`` for programs without an event loop: same names, same arguments, plain results.

::

    from snapdir import blocking

    snapshot_id = blocking.push("dataset", "s3://bucket/datasets")

The event loop behind them runs in one thread of its own, started by the first call and ended with the process, so they
also work where a loop runs already (a notebook), from several threads at once, and again in a forked child. An
exception that reaches the caller while it waits (Ctrl-C) cancels the call and waits until it has cleaned up.

Nothing here is written twice: each function is the one of ``snapdir.api``, wrapped, and keeps its signature. What is
open (a snapshot, its files, a running verb) is wrapped likewise; an open file is one that Python's libraries take.
"""

from __future__ import annotations

import atexit
import inspect
import io
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial, wraps
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from snapdir import api
from snapdir.api import (
    BenchReport,
    CacheReport,
    Counters,
    Damage,
    DiffEntry,
    DiffOptions,
    Files,
    Lineage,
    Manifest,
    ManifestEntry,
    PathType,
    Progress,
    Record,
    Relation,
    Revision,
    SizeStats,
    SnapshotId,
    SnapshotReport,
    SnapshotSummary,
    StatusReport,
    StoreUri,
    SyncReport,
    id_from_manifest,
    manifest_size,
    version,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from snapdir.config import Config
    from snapdir.transfer.reading import Verify

__all__ = [
    "BenchReport",
    "CacheReport",
    "Counters",
    "Damage",
    "DiffEntry",
    "DiffOptions",
    "Files",
    "Lineage",
    "Manifest",
    "ManifestEntry",
    "PathType",
    "Progress",
    "Record",
    "Relation",
    "Revision",
    "Running",
    "SizeStats",
    "Snapshot",
    "SnapshotFile",
    "SnapshotId",
    "SnapshotReport",
    "SnapshotSummary",
    "StatusReport",
    "StoreUri",
    "SyncReport",
    "ancestors",
    "bench",
    "checkout",
    "descendants",
    "diff",
    "examine",
    "fetch",
    "flush_cache",
    "id",
    "id_from_manifest",
    "lineage",
    "list_snapshots",
    "locations",
    "log",
    "manifest",
    "manifest_of",
    "manifest_size",
    "open_snapshot",
    "pull",
    "push",
    "push_cached",
    "resolve_id",
    "revisions",
    "running",
    "size",
    "stage",
    "status",
    "sync",
    "sync_all",
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
        self._thread: threading.Thread | None = None
        # Better than comparing pids at every call: the child's copy of the lock may be held by a thread that only
        # the parent has. (And no context manager is kept that would end a thread which is not there.)
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``function`` in the loop and wait for it."""
        portal, call = self._opened(), Call(function)
        try:
            return portal.start_task_soon(call.run).result()
        except BaseException:
            if not call.ended.is_set():  # so it is no failure of the call's own: Ctrl-C, at whatever moment
                portal.call(call.cancel)
                call.ended.wait()
            raise

    def managed(self, manager: AbstractAsyncContextManager[T]) -> AbstractContextManager[T]:
        """``manager`` for a plain ``with``; all of it runs in one task of the loop."""
        return self._opened().wrap_async_context_manager(manager)

    def close(self) -> None:
        """End the loop's thread once its calls are over; the next call starts another."""
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


def _serve(opened: Future[BlockingPortal]) -> None:
    try:
        anyio.run(_portal_until_stopped, opened, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    except BaseException as error:
        if opened.done():
            raise
        opened.set_exception(error)


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


_portal = PortalOfProcess()


def _blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """``function`` as a plain one. Its signature, docstring and defaults stay."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return _portal.run(partial(function, *args, **kwargs))

    return call


ancestors = _blocking(api.ancestors)
bench = _blocking(api.bench)
checkout = _blocking(api.checkout)
descendants = _blocking(api.descendants)
diff = _blocking(api.diff)
examine = _blocking(api.examine)
fetch = _blocking(api.fetch)
flush_cache = _blocking(api.flush_cache)
id = _blocking(api.id)
lineage = _blocking(api.lineage)
locations = _blocking(api.locations)
log = _blocking(api.log)
list_snapshots = _blocking(api.list_snapshots)
manifest = _blocking(api.manifest)
manifest_of = _blocking(api.manifest_of)
pull = _blocking(api.pull)
push = _blocking(api.push)
push_cached = _blocking(api.push_cached)
resolve_id = _blocking(api.resolve_id)
revisions = _blocking(api.revisions)
size = _blocking(api.size)
stage = _blocking(api.stage)
status = _blocking(api.status)
sync = _blocking(api.sync)
sync_all = _blocking(api.sync_all)
verify = _blocking(api.verify)
verify_cache = _blocking(api.verify_cache)


def open_snapshot(
    snapshot_id: str, store: str | None = None, *, objects_store: str | None = None, config: Config | None = None
) -> Snapshot:
    """``snapdir.open_snapshot``: open a snapshot for reading; close it, or use it in a ``with``."""
    opening = partial(api.open_snapshot, snapshot_id, store, objects_store=objects_store, config=config)
    return Snapshot(_portal.run(opening))


class Snapshot:
    """``snapdir.Snapshot`` without a loop. Any number of threads may read from it."""

    def __init__(self, snapshot: api.Snapshot) -> None:
        self._snapshot = snapshot
        self.id = snapshot.id
        self.manifest = snapshot.manifest

    @property
    def files(self) -> Files:
        """Entries of all files by path."""
        return self._snapshot.files

    def open(self, path: str, *, verify: Verify = "before") -> io.BufferedReader:
        """Open one file for reading: a binary file as of ``open(path, "rb")``. See ``snapdir.Snapshot.open``."""
        file = _portal.run(partial(self._snapshot.open, path, verify=verify))
        return io.BufferedReader(SnapshotFile(file), FILE_BUFFER_BYTES)

    def read(self, path: str) -> bytes:
        """The whole of one file, verified."""
        return _portal.run(partial(self._snapshot.read, path))

    def close(self) -> None:
        """Close the store. Safe to repeat."""
        _portal.run(self._snapshot.aclose)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._snapshot)


FILE_BUFFER_BYTES = 128 * 1024
"""Small reads share one hop to the loop (and, unverified, one request)."""


class SnapshotFile(io.RawIOBase):
    """``snapdir.SnapshotFile`` as a raw file of Python's; ``Snapshot.open`` puts a buffer before it."""

    def __init__(self, file: api.SnapshotFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            data = _portal.run(partial(self._file.read, len(view)))
            view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return _portal.run(self._file.read)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close_nowait()  # also called when Python ends and no loop can be started any more
        super().close()


class Running(Generic[T]):
    """``snapdir.Running`` without a loop: a ``for`` gives a Progress ten times a second."""

    def __init__(self, current: api.Running[T]) -> None:
        self._current = current

    @property
    def result(self) -> T:
        """What the verb has returned; RuntimeError before that."""
        return self._current.result

    def progress(self) -> Progress:
        """The state of this moment."""
        return self._current.progress()

    def cancel(self) -> None:
        """Stop the verb; leaving the block waits until it has cleaned up."""

        async def cancel() -> None:
            self._current.cancel()

        _portal.run(cancel)

    def __iter__(self) -> Iterator[Progress]:
        while (progress := _portal.run(self._next)) is not None:
            yield progress

    async def _next(self) -> Progress | None:
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
    with _portal.managed(api.running(inspect.unwrap(verb), *args, **kwargs)) as current:
        yield Running(current)
