"""The API without a loop: the same names, results and errors, from any thread, loop or process."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

import snapdir
import snapdir.errors
from snapdir import blocking
from snapdir.blocking.portal import as_blocking, own_portal
from snapdir.errors import LocalError

CODE = {"env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}, "timeout": 60}


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End the thread behind the functions after each test."""
    yield
    own_portal.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content")
    return tree


WRAPPED = {"Running", "Snapshot", "SnapshotFile", "open_snapshot", "running", "with_progress_bar"}
"""What stays open between calls has a class of its own here, and verbs are passed as functions of this module."""


def test_every_name_of_the_api_is_here() -> None:
    here = {*snapdir.__all__} - {*snapdir.errors.__all__} - {"Config"}
    assert {*blocking.__all__} == here
    for name in sorted(here - WRAPPED):
        theirs, ours = getattr(snapdir, name), getattr(blocking, name)
        if inspect.iscoroutinefunction(theirs):
            assert not inspect.iscoroutinefunction(ours)
            assert inspect.signature(ours) == inspect.signature(theirs)
            assert ours.__doc__ == theirs.__doc__
        else:
            assert ours is theirs


def test_a_call_gives_the_result(tree: Path) -> None:
    found = blocking.manifest(tree, exclude=["nothing"])
    assert blocking.id(tree) == blocking.id_from_manifest(found) == asyncio.run(snapdir.id(tree))


def test_an_error_is_the_apis_own(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="absent"):
        blocking.id(tmp_path / "absent")


def test_all_calls_share_one_thread(tree: Path) -> None:
    before = threading.active_count()
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(blocking.id, [tree] * 16))
    assert len(ids) == 1
    portals = [thread for thread in threading.enumerate() if thread.name == "snapdir"]
    assert len(portals) == 1
    assert threading.active_count() >= before
    own_portal.close()
    assert not portals[0].is_alive()
    assert blocking.id(tree) in ids


def test_an_interrupt_cancels_the_call_and_waits_for_its_cleanup() -> None:
    cleaned_up = False

    async def slow() -> None:
        nonlocal cleaned_up
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            await anyio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            cleaned_up = True

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            own_portal.run(slow)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cleaned_up


def run_python(code: str, *args: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False, **CODE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_process_ends_by_itself(tree: Path) -> None:
    started = time.monotonic()
    assert len(run_python("import sys; from snapdir import blocking; print(blocking.id(sys.argv[1]))", str(tree))) == 65
    assert time.monotonic() - started < 30


IN_A_LOOP = """
import asyncio, sys
from snapdir import blocking
async def cell():
    return blocking.id(sys.argv[1])
print(asyncio.run(cell()) == blocking.id(sys.argv[1]))
"""


def test_it_works_where_a_loop_runs_already(tree: Path) -> None:
    assert run_python(IN_A_LOOP, str(tree)) == "True\n"


FORK = """
import os, sys, threading
from snapdir import blocking
from snapdir.blocking.portal import own_portal
before = blocking.id(sys.argv[1])
held = threading.Event()
def hold():
    with own_portal._lock:
        held.set()
        threading.Event().wait(0.5)
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if not child:
    assert blocking.id(sys.argv[1]) == before
    sys.exit(7)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
assert blocking.id(sys.argv[1]) == before
print("both")
"""


def test_a_forked_child_gets_a_loop_of_its_own(tree: Path) -> None:
    assert run_python(f"import warnings; warnings.simplefilter('ignore')\n{FORK}", str(tree)) == "both\n"


@pytest.fixture
def stored(tmp_path: Path, tree: Path) -> tuple[str, str]:
    """The id of a tree with a large file, and its store."""
    with tarfile.open(tree / "archive.tar", "w") as archive:
        archive.add(tree / "file", "member")
    store = str(tmp_path / "store")
    return blocking.push(tree, store), store


@pytest.mark.parametrize("verify", ["before", "never"])
def test_a_file_of_a_snapshot_is_one_that_libraries_read(stored: tuple[str, str], verify: str) -> None:
    with blocking.open_snapshot(stored[0][:8], stored[1]) as snapshot:
        assert list(snapshot.files) == ["./archive.tar", "./file"]
        assert (snapshot.id, snapshot.read("file")) == (stored[0], b"content")
        with snapshot.open("archive.tar", verify=verify) as file, tarfile.open(fileobj=file) as archive:  # type: ignore[arg-type]
            member = archive.extractfile("member")
            assert member is not None
            assert member.read() == b"content"
        assert file.closed
        assert list(io.TextIOWrapper(snapshot.open("file"))) == ["content"]


def test_open_snapshots_keep_the_arguments_of_the_api() -> None:
    assert inspect.signature(blocking.open_snapshot).parameters == inspect.signature(snapdir.open_snapshot).parameters
    for name in ("open", "read"):
        ours, theirs = getattr(blocking.Snapshot, name), getattr(snapdir.Snapshot, name)
        assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters


def test_a_running_verb_is_watched(tree: Path, tmp_path: Path) -> None:
    with blocking.running(blocking.push, tree, str(tmp_path / "store")) as pushing:
        events = list(pushing)
    assert pushing.result == blocking.id(tree)
    assert events[-1].finished


def watch(verb: Callable[..., object], *args: object, on_event: Callable[[], None] = lambda: None) -> None:
    with blocking.running(verb, *args) as current:
        for _ in current:
            on_event()


def test_a_running_verbs_failure_leaves_the_block(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="absent"):
        watch(blocking.push, tmp_path / "absent", "/store")


def test_an_interrupt_stops_a_running_verb() -> None:
    cleaned_up = threading.Event()

    async def slow(*, counters: object = None) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned_up.set()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(as_blocking(slow), on_event=interrupt)
    assert cleaned_up.is_set()


def test_a_running_verb_can_be_cancelled() -> None:
    async def slow(*, counters: object = None) -> None:
        await anyio.sleep_forever()

    with blocking.running(as_blocking(slow)) as current:
        for _ in current:
            current.cancel()
    assert not current.progress().finished
