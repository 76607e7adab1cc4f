"""Hashing in further processes: the same result as in one, whatever happens to them."""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.to_thread
import pytest
from hypothesis import given, settings

from snapdir.errors import InFluxError, WalkFailed, WorkerKilled
from snapdir.hashing.tree import manifest_id
from snapdir.model.source import SourceFile
from snapdir.testing.strategies import Tree, build_tree, trees
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.hash_workers import HashWorkers
from snapdir.transfer.snapshot import TreeReader, snapshot_tree, tree_id
from snapdir.transfer.tree_options import TreeOptions

pytestmark = pytest.mark.usefixtures("open_descriptors")

SECONDS = 60
"""Longer than anything here may take."""


class Run:
    """A tree that is hashed with ``count`` workers, all of which have started."""

    def __init__(self, root: Path, count: int) -> None:
        self.counters = Counters()
        self.reader = TreeReader(root, TreeOptions(), self.counters)
        self.hashed_here: list[str] = []
        self.workers = HashWorkers(
            count, self.hash_here, self.reader.settle, self.counters.warnings.append, start_seconds=0
        )

    def hash_here(self, sources: list[SourceFile]) -> None:
        self.hashed_here += [Path(source.file).name for source in sources]
        self.reader.hash_small(sources, keep_data=False)

    def start(self, count: int) -> list[int]:
        """Start ``count`` workers; their process ids."""
        while sum(worker.is_free for worker in self.workers._workers) < count:
            self.workers.hash([])
        return [worker.process._process.pid for worker in self.workers._workers]

    def hash(self, batch_files: int = 3) -> None:
        for small, _ in self.reader.batches(batch_files, 1 << 20):
            self.workers.hash(small)

    def id(self) -> str:
        self.workers.wait()
        return str(manifest_id(self.reader.manifest()))


@contextmanager
def running(root: Path, count: int) -> Iterator[tuple[Run, list[int]]]:
    run = Run(root, count)
    with run.workers:
        yield run, run.start(count)
    run.reader.close()


def in_thread(work: object, *args: object) -> None:
    """Run ``work`` in a thread of anyio, which can be cancelled."""
    anyio.run(partial(anyio.to_thread.run_sync, work, *args))  # type: ignore[arg-type]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Twenty small files in two directories."""
    for number in range(20):
        file = tmp_path / "wide" / f"d{number % 2}" / f"f{number:02}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d" % number * 100)
    return tmp_path / "wide"


def has_ended(pid: int) -> bool:
    """Whether a process ends, or has ended and been waited for."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], SECONDS)[0])
    finally:
        os.close(descriptor)


@settings(max_examples=12)
@given(tree=trees())
def test_the_id_is_the_same_with_any_number_of_workers(tree: Tree) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        build_tree(tree, root)

        def ids() -> None:
            expected = manifest_id(snapshot_tree(root, TreeOptions(), Counters()))
            for count in (1, 3):
                with running(root, count) as (run, _):
                    run.hash(batch_files=1)
                    assert run.id() == expected
                    assert run.counters.files_done == run.counters.files_total
                    assert run.counters.bytes_done == run.counters.bytes_total

        in_thread(ids)


def test_workers_hash_most_of_the_files_and_end_with_the_block(wide: Path) -> None:
    def work() -> None:
        with running(wide, 2) as (run, pids):
            run.hash(batch_files=5)
            assert run.id() == tree_id(wide, TreeOptions(), Counters())
            assert run.hashed_here == [], "two workers take two batches each"
        assert all(map(has_ended, pids))

    in_thread(work)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGUSR1, "SIGUSR1"), (signal.SIGRTMIN + 3, "signal 37")]
)
def test_a_killed_worker_is_an_error_that_names_the_signal(wide: Path, number: int, name: str) -> None:
    def work() -> None:
        with running(wide, 1) as (run, pids):
            os.kill(pids[0], signal.SIGSTOP)  # in the middle of its work
            run.hash()
            os.kill(pids[0], number)
            os.kill(pids[0], signal.SIGCONT)
            with pytest.raises(WorkerKilled, match=rf"a hashing process was killed by {name}.*--workers 0"):
                run.id()

    in_thread(work)


def test_a_worker_that_is_killed_before_its_next_batch_is_the_same_error(wide: Path) -> None:
    def work() -> None:
        with running(wide, 1) as (run, pids):
            os.kill(pids[0], signal.SIGKILL)
            assert has_ended(pids[0])
            with pytest.raises(WorkerKilled, match=r"killed by SIGKILL \(out of memory\?\)"):
                run.hash()

    in_thread(work)


def test_the_work_of_a_worker_that_ends_by_itself_is_done_here(wide: Path) -> None:
    def work() -> None:
        with running(wide, 1) as (run, _):
            (worker,) = run.workers._workers
            worker.process.send((1).to_bytes(4) + b"?")  # no request: the worker fails
            run.hash()
            assert run.id() == tree_id(wide, TreeOptions(), Counters())
            assert len(run.hashed_here) == 20
            assert run.counters.warnings == [
                "a hashing process ended with exit code 1: the files are hashed by the processes that are left"
            ]

    in_thread(work)


def test_a_run_that_is_cancelled_does_not_wait_for_a_worker(wide: Path) -> None:
    pids: list[int] = []

    async def cancelled() -> None:
        async with anyio.create_task_group() as group:

            def work() -> None:
                with running(wide, 1) as (run, started):
                    pids.extend(started)
                    os.kill(pids[0], signal.SIGSTOP)
                    run.hash()
                    anyio.from_thread.run_sync(group.cancel_scope.cancel)
                    run.id()

            await anyio.to_thread.run_sync(work)

    anyio.run(cancelled)
    assert has_ended(pids[0])


def test_files_that_change_vanish_or_cannot_be_read_fail_as_without_workers(wide: Path) -> None:
    def prepared(change: str) -> Path:
        return wide / "d0" / ("f00" if change == "grown" else "f02")

    def work(change: str) -> None:
        with running(wide, 1) as (run, pids):
            os.kill(pids[0], signal.SIGSTOP)
            file = prepared(change)
            run.hash(batch_files=20)
            with file.open("ab") as changing:
                changing.write(b"more")
            if change == "vanished":
                file.unlink()
            os.kill(pids[0], signal.SIGCONT)
            with pytest.raises(InFluxError, match=str(file)) as raised:
                run.id()
            assert raised.value.what == ("vanished" if change == "vanished" else "changed")
            assert run.hashed_here == [file.name], "only it is read again"

    in_thread(work, "grown")
    in_thread(work, "vanished")


def test_unreadable_files_are_named_as_without_workers(wide: Path) -> None:
    (wide / "d0" / "m1").symlink_to("/proc/self/mem")  # an "Input/output error" for everybody
    (wide / "d1" / "m2").symlink_to("/proc/self/mem")

    def work() -> None:
        with pytest.raises(WalkFailed) as expected:
            tree_id(wide, TreeOptions(), Counters())
        with running(wide, 2) as (run, _):
            run.hash()
            with pytest.raises(WalkFailed) as raised:
                run.id()
        assert str(raised.value) == str(expected.value)
        assert len(raised.value.failures) == 2

    in_thread(work)


def test_without_a_free_descriptor_hashing_goes_on_without_workers(wide: Path) -> None:
    def work() -> None:
        run = Run(wide, 3)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with run.workers, ExitStack() as held:
            highest = max(map(int, os.listdir("/proc/self/fd")))
            last = -1
            while last < highest:  # then no number below it is free
                last = held.enter_context(open(os.devnull)).fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (last + 3, hard))
            try:
                run.hash()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert run.id() == tree_id(wide, TreeOptions(), Counters())
            assert run.counters.warnings == [
                "no further process can be started (Too many open files): the files are hashed by the "
                "processes that are left"
            ]

    in_thread(work)
