"""Run a client and measure wall time, CPU and memory.

CPU is user + system time of the process and of all children it waited for, from wait4. Peak memory is the kernel's
figure for the process or, if larger, the highest sum over its process tree, sampled every 20 ms (shared pages count for
each process). The kernel's figure starts with the size of the process that starts the client, about 27 MiB, so this
process stays small: it loads no chart library and no large files.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from benchmarks.peers import Command

__all__ = ["Outcome", "run", "tree_rss_bytes"]

TIMEOUT_SECONDS = 600.0
_LOOK_SECONDS = 0.02
_KEPT_BYTES = 4000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The measurements and output of a process.

    Attributes:
        stdout: Its first bytes.
        stderr: Its last bytes.
    """

    returncode: int
    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_rss_bytes: int
    stdout: str
    stderr: str
    timed_out: bool = False


def run(command: Command, environment: Mapping[str, str], *, timeout_seconds: float = TIMEOUT_SECONDS) -> Outcome:
    """Run a client in its own session; on a timeout it is killed with its children."""
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.argv,
            env={**environment, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        with _Watch(process.pid, timeout_seconds) as watch:
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:  # interrupted: leave no process behind
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            wall_seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _KEPT_BYTES))
        return Outcome(
            returncode=process.returncode,
            wall_seconds=wall_seconds,
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
            peak_rss_bytes=max(usage.ru_maxrss * 1024, watch.peak_bytes),
            stdout=stdout.read(_KEPT_BYTES).decode(errors="replace"),
            stderr=stderr.read().decode(errors="replace"),
            timed_out=watch.timed_out,
        )


class _Watch:
    """A thread that samples a process tree, and kills it on a timeout."""

    def __init__(self, pid: int, timeout_seconds: float) -> None:
        self.peak_bytes = 0
        self.timed_out = False
        self._pid = pid
        self._until = time.monotonic() + timeout_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self.peak_bytes = max(self.peak_bytes, tree_rss_bytes(self._pid))
            if time.monotonic() > self._until and not self.timed_out:
                self.timed_out = True
                with suppress(ProcessLookupError):
                    os.killpg(self._pid, signal.SIGKILL)  # it leads its own process group


def tree_rss_bytes(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 without descendants, since the kernel reports that peak."""
    pids = list(_descendants(pid))
    return sum(map(_rss_bytes, [pid, *pids])) if pids else 0


def _descendants(pid: int) -> Iterator[int]:
    try:
        # Children belong to the thread that forked them.
        with os.scandir(f"/proc/{pid}/task") as tasks:
            for task in tasks:
                for child in Path(task.path, "children").read_text().split():
                    yield int(child)
                    yield from _descendants(int(child))
    except OSError:  # the process has ended
        return


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
