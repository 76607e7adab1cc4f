"""Processes that hash small files beside this one. Blocking; for one thread of ``anyio.to_thread``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from selectors import EVENT_READ, DefaultSelector

from snapdir.hashing import worker as hashing_worker
from snapdir.hashing.worker import DIGEST_BYTES, NOT_HASHED, READY, request_for
from snapdir.model.source import HashedFile, SourceFile
from snapdir.stores.workers import batches
from snapdir.transfer.engine.interruption import LOOK_SECONDS, check_cancelled
from snapdir.transfer.engine.worker_process import WorkerProcess, can_start_workers

BATCHES_AT_ONCE = 2
"""Of one worker, so that it has the next batch while this process walks. Two answers are 32 KiB, which fit into the
socket: so a worker never waits for this process, and always takes the next request."""

START_SECONDS = 0.1
"""A worker starts whenever this process has hashed for so long because no worker was free: twice what a start takes."""

FILES_AT_ONCE = 64
"""Hashed here between looks for a cancellation: a disk may take 10 ms for each."""

RECEIVED_BYTES = 1 << 16
"""In one call: more than the two answers that a worker can have ready."""


class HashWorkers:
    """Hashes batches of small files: in this thread, and in processes as soon as they pay.

    This process does what the others have no time for, so that all are busy. A file that a worker cannot read, or that
    is not as it was listed, is hashed here, and fails as it does without workers.

    Args:
        most: Processes beside this one.
        hash_here: Hashes files in this thread, and settles them.
        settle: Called with the files that a worker has hashed.
        warn: Called with a sentence if a worker cannot start, or ends by itself; its work is then done here.

    Raises (from all methods):
        WorkerKilled: a worker was killed by a signal.
    Cancellation: within LOOK_SECONDS, or 64 files; all workers end when the block ends.
    """

    def __init__(
        self,
        most: int,
        hash_here: Callable[[list[SourceFile]], object],
        settle: Callable[[list[HashedFile]], None],
        warn: Callable[[str], None],
        *,
        start_seconds: float = START_SECONDS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._to_start = most if most and can_start_workers() else 0
        self._hash_here = hash_here
        self._settle = settle
        self._warn = warn
        self._start_seconds = start_seconds
        self._clock = clock
        self._own_seconds = 0.0
        self._workers: list[_Worker] = []
        self._resources = ExitStack()

    def __enter__(self) -> HashWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def hash(self, sources: list[SourceFile]) -> None:
        """Hash ``sources``, here or in a worker, now or later."""
        free = min((worker for worker in self._workers if worker.is_free), key=_load, default=None)
        if free is not None and sources:
            self._send(free, sources)
        else:
            began = self._clock()
            self._do(sources)
            self._own_seconds += self._clock() - began
            self._start_if_it_pays()
        self._receive_all(0)

    def wait(self) -> None:
        """Wait for what ``hash`` has left to the workers."""
        while any(worker.batches for worker in self._workers):
            check_cancelled()
            self._receive_all(LOOK_SECONDS)

    def _do(self, sources: list[SourceFile]) -> None:
        for some in batches(sources, FILES_AT_ONCE):
            check_cancelled()
            self._hash_here(some)

    def _start_if_it_pays(self) -> None:
        if not self._to_start or self._own_seconds < self._start_seconds:
            return
        self._own_seconds = 0.0
        self._to_start -= 1
        try:
            if not self._workers:
                self._selector = self._resources.enter_context(DefaultSelector())
            process = WorkerProcess(hashing_worker)
        except (OSError, RuntimeError) as error:  # RuntimeError: Python is about to end
            self._to_start = 0
            reason = getattr(error, "strerror", None) or error
            self._warn(
                f"no further process can be started ({reason}): the files are hashed by the processes that are left"
            )
            return
        self._resources.callback(process.end)
        worker = _Worker(process)
        self._workers.append(worker)
        self._selector.register(process.socket, EVENT_READ, worker)

    def _send(self, worker: _Worker, sources: list[SourceFile]) -> None:
        worker.batches.append(sources)
        try:
            worker.process.send(request_for([(source.file, source.identity) for source in sources]))
        except OSError:
            self._replace(worker)

    def _receive_all(self, timeout_seconds: float) -> None:
        if self._workers:
            for key, _ in self._selector.select(timeout_seconds):
                self._receive(key.data)

    def _receive(self, worker: _Worker) -> None:
        try:
            content = worker.process.socket.recv(RECEIVED_BYTES)
        except OSError:
            content = b""
        if not content:
            self._replace(worker)
        for sources, digests in worker.answers(content):
            answered = list(zip(sources, digests, strict=True))
            self._settle([HashedFile(source, digest.hex()) for source, digest in answered if digest != NOT_HASHED])
            if left := [source for source, digest in answered if digest == NOT_HASHED]:
                self._do(left)

    def _replace(self, worker: _Worker) -> None:
        """Do the work of a worker that has ended by itself."""
        outcome = worker.process.outcome()
        self._selector.unregister(worker.process.socket)
        self._workers.remove(worker)
        self._to_start = 0
        self._warn(f"a hashing process ended with {outcome}: the files are hashed by the processes that are left")
        while worker.batches:
            self._do(worker.batches.popleft())


class _Worker:
    """A process, and the batches it has: it answers them in order."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self.batches: deque[list[SourceFile]] = deque()
        self._is_ready = False
        self._received = b""

    @property
    def is_free(self) -> bool:
        return self._is_ready and len(self.batches) < BATCHES_AT_ONCE

    def answers(self, content: bytes) -> list[tuple[list[SourceFile], list[bytes]]]:
        """The batches that are answered with ``content``, and their digests."""
        if not self._is_ready:
            self._is_ready = True
            content = content.removeprefix(READY)
        self._received += content
        answered = []
        while self.batches and len(self._received) >= (length := DIGEST_BYTES * len(self.batches[0])):
            answer, self._received = self._received[:length], self._received[length:]
            digests = [answer[start : start + DIGEST_BYTES] for start in range(0, length, DIGEST_BYTES)]
            answered.append((self.batches.popleft(), digests))
        return answered


def _load(worker: _Worker) -> int:
    return len(worker.batches)
