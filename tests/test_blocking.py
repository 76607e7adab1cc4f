"""The API without a loop: the same names, results and errors, from any thread, loop or process."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from snapdir import api, blocking
from snapdir.errors import LocalError

CODE = {"env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}, "timeout": 60}


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End the thread behind the functions after each test."""
    yield
    blocking._portal.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content")
    return tree


def test_every_name_of_the_api_is_here() -> None:
    assert blocking.__all__ == api.__all__
    for name in api.__all__:
        theirs, ours = getattr(api, name), getattr(blocking, name)
        if inspect.iscoroutinefunction(theirs):
            assert not inspect.iscoroutinefunction(ours)
            assert inspect.signature(ours) == inspect.signature(theirs)
            assert ours.__doc__ == theirs.__doc__
        else:
            assert ours is theirs


def test_a_call_gives_the_result(tree: Path) -> None:
    found = blocking.manifest(tree, exclude=["nothing"])
    assert blocking.id(tree) == blocking.id_from_manifest(found) == asyncio.run(api.id(tree))


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
    blocking._portal.close()
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
            blocking._portal.run(slow)
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
before = blocking.id(sys.argv[1])
held = threading.Event()
def hold():
    with blocking._portal._lock:
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
