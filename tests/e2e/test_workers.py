"""`snapdir id` with hashing processes: killed ones, signals of a terminal, and systems that allow none."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, Run
from tests.refused_calls import python_with_refusals

FILES = 3000
FILE_BYTES = 1 << 20
SECONDS = 60
"""Longer than anything here may take."""


@pytest.fixture(autouse=True)
def every_file_is_hashed(program: Program) -> None:
    program.environment["SNAPDIR_INDEX_SIZE"] = "0"  # otherwise the second run would have nothing to do


@pytest.fixture(scope="module")
def long_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files that take a second to hash, and no room."""
    folder = tmp_path_factory.mktemp("long") / "tree"
    folder.mkdir()
    for number in range(FILES):
        with (folder / f"f{number:04}").open("wb") as file:
            file.truncate(FILE_BYTES)
    return folder


@contextmanager
def hashing(program: Program, tree: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program in a process group of its own, and the process id of its first worker."""
    process = subprocess.Popen(
        program.command("id", "--workers", "1", str(tree)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        **program.options({}),
    )
    with process:
        try:
            yield process, first_child(process)
        finally:
            process.kill()


def first_child(process: subprocess.Popen[bytes]) -> int:
    while process.poll() is None:
        for file in Path(f"/proc/{process.pid}/task").glob("*/children"):
            try:
                children = file.read_text().split()
            except OSError:
                continue  # the thread has ended
            if children:
                return int(children[0])
    raise AssertionError("it ended before a worker started")


def end_of(process: subprocess.Popen[bytes]) -> Run:
    stdout, stderr = process.communicate(timeout=SECONDS)
    return Run(process.returncode, stdout.decode(), stderr.decode())


def test_a_killed_worker_is_one_clear_error(program: Program, long_tree: Path) -> None:
    with hashing(program, long_tree) as (process, worker):
        os.kill(worker, signal.SIGKILL)
        end_of(process).failed_clearly("a hashing process was killed by SIGKILL (out of memory?)", "--workers 0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_of_the_terminal_stops_all_at_once(program: Program, long_tree: Path, number: signal.Signals) -> None:
    with hashing(program, long_tree) as (process, worker):
        watched = os.pidfd_open(worker)
        os.killpg(process.pid, number)
        run = end_of(process)
        assert (run.code, run.stdout, run.stderr) == (128 + number, "", "")
        assert select.select([watched], [], [], 0)[0], "the worker ended first"
        os.close(watched)


def test_a_worker_ends_when_its_parent_is_killed(program: Program, long_tree: Path) -> None:
    with hashing(program, long_tree) as (process, worker):
        watched = os.pidfd_open(worker)
        process.kill()
        assert select.select([watched], [], [], SECONDS)[0]
        os.close(watched)


class WithoutForks(Program):
    """The program where the system refuses every further process, as with ``ulimit -u``."""

    def command(self, *args: str) -> list[str]:
        main = "from snapdir.cli.main import main\nmain()"
        return [sys.executable, "-c", f"{python_with_refusals(fork=errno.EAGAIN)}\n{main}", *args]


def test_where_no_process_can_start_one_does_it_all(program: Program, long_tree: Path) -> None:
    expected = program.id("id", "--workers", "0", str(long_tree))
    run = WithoutForks(program.folder, program.environment)("id", "--workers", "2", str(long_tree))
    assert (run.code, run.stdout.strip()) == (0, expected)
    assert run.stderr == (
        "warning: no further process can be started (Resource temporarily unavailable): the files are hashed by the "
        "processes that are left\n"
    )


def test_an_interpreter_of_another_name_starts_no_worker(program: Program, long_tree: Path) -> None:
    """A program that embeds Python may name itself as the interpreter, and must not be started again."""
    run = program("id", "--workers", "2", str(long_tree))
    host = program.folder / "host"
    host.write_text(f"#!/bin/sh\necho started > {program.folder}/started\n")
    host.chmod(0o755)
    main = f"import sys; sys.executable = {str(host)!r}\nfrom snapdir.cli.main import main\nmain()"
    embedded = subprocess.run(
        [sys.executable, "-c", main, "id", "--workers", "2", str(long_tree)],
        capture_output=True, check=False, timeout=SECONDS, **program.options({}),
    )  # fmt: skip
    assert (embedded.returncode, embedded.stdout.decode()) == (0, run.stdout)
    assert not (program.folder / "started").exists()
