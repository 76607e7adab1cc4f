"""What every test may use."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from blockbuster import blockbuster_ctx
from hypothesis import settings

# Shared machines make any deadline a coin toss; examples are kept in the failing test, not in a folder.
settings.register_profile("snapdir", deadline=None, database=None)
settings.load_profile("snapdir")

FULL_AFTER_BYTES = 1 << 20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped fails the run")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.option.no_skips and reporter and reporter.stats.get("skipped") and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> None:
    """Programs that tests start do not inherit ignored signals, as they would from a job in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def no_job_lines() -> None:
    """Programs that tests start write no lines about their progress, however slow the machine is."""
    os.environ["SNAPDIR_PROGRESS_INTERVAL"] = "0"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def free_loop() -> Iterator[None]:
    """Fail any call of the package that blocks the event loop. ``testing`` may: its back doors are meant to.

    So may the two functions that write or hash small files on the loop, within ``transfer/engine/loop_budget.py``;
    and an executor, which holds a lock for a moment while it takes work, as its threads do when they are done.
    """
    with blockbuster_ctx("snapdir", excluded_modules=["snapdir.testing"]) as watch:
        for function in watch.functions.values():
            function.can_block_in("snapdir/transfer/download/objects.py", "_written_here")
            function.can_block_in("snapdir/transfer/upload/hashed_batches.py", "_hash_here")
        watch.functions["threading.Lock.acquire"].can_block_in("concurrent/futures/thread.py", "submit")
        yield


@pytest.fixture
def open_descriptors() -> Iterator[None]:
    """Fail a test that leaves descriptors open."""
    uvloop.new_event_loop().close()  # with the first one a process gets a pipe that it keeps
    before = set(os.listdir("/proc/self/fd"))
    gc.freeze()  # what was there before is not searched: 0.25 s a test, late in a run of all of them
    yield
    gc.collect()  # errors hold the frames they passed through
    gc.unfreeze()
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with room for 1 MiB: a real small filesystem for root, a simulated one for others."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={FULL_AFTER_BYTES}", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode == 0:
        try:
            yield folder
        finally:
            ctypes.CDLL(None).umount2(os.fsencode(folder), 2)  # lazily: a failed test may hold files open
        return
    _pretend_full(folder, monkeypatch)
    yield folder


def _pretend_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(call):
        def write(fd: int, data: bytes, *more: int) -> int:
            if not os.readlink(f"/proc/self/fd/{fd}").startswith(str(folder)):
                return call(fd, data, *more)
            used = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
            if used >= FULL_AFTER_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(fd, memoryview(data)[: FULL_AFTER_BYTES - used], *more)

        return write

    def no_kernel_copy(*_: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "write", limited(os.write))
    monkeypatch.setattr(os, "pwrite", limited(os.pwrite))
    monkeypatch.setattr(os, "copy_file_range", no_kernel_copy)
