"""Calls during interpreter exit, in atexit handlers and in threads that outlive the main one, never hang."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snapdir import blocking
from snapdir.blocking.portal import ENDING
from snapdir.config import Config

SOURCE = Path(__file__).parents[1] / "src"
FORBIDS_LATE_THREADS = (3, 12) <= sys.version_info < (3, 12, 2)

WORK = """
import atexit, os, sys, threading
from pathlib import Path
from snapdir import blocking
from snapdir.config import Config

config = Config(cache_dir=Path("cache"))

def work(out="out"):
    identifier = blocking.id("tree", config=config)
    assert blocking.push("tree", "./store", config=config) == identifier
    blocking.pull(identifier, "./store", out, config=config)
    assert blocking.id(out, config=config) == identifier
    assert blocking.status(out, config=config).clean
    print("done", flush=True)
"""

WAYS = {
    "atexit": "atexit.register(work)",
    "atexit after a call": "atexit.register(work); work('earlier')",
    "a thread that goes on": "threading.Thread(target=work).start()",
    "a thread that goes on after a call": "work('earlier'); threading.Thread(target=work).start()",
}


def run(folder: Path, script: str) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    for number in range(100):
        (tmp_path / "tree" / f"f{number}").write_text(f"{number}")
    (tmp_path / "tree" / "large").write_bytes(bytes(range(256)) * 20_000)
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_a_late_call_works_or_says_why_not(folder: Path, way: str) -> None:
    code, stdout, stderr = run(folder, f"{WORK}\n{WAYS[way]}")
    assert code == 0
    if FORBIDS_LATE_THREADS and not stdout.endswith("done\n"):
        assert stderr.rstrip().endswith(f"SnapdirError: {ENDING}")
    else:
        assert (stdout.splitlines()[-1:], stderr) == (["done"], "")


@pytest.mark.parametrize("earlier", ["", "work('earlier')"], ids=["first", "after a call"])
def test_a_call_while_modules_are_torn_down_says_why_not(folder: Path, earlier: str) -> None:
    script = f"{WORK}\nclass Late:\n    def __del__(self):\n        work()\n\n{earlier}\nlate = Late()"
    code, _, stderr = run(folder, script)
    assert (code, stderr.rstrip().endswith(f"SnapdirError: {ENDING}")) == (0, True)


@pytest.mark.parametrize("call", ["work", "lambda: [work() for _ in range(1000)]"], ids=["one", "many"])
def test_a_thread_that_is_left_behind_keeps_nobody(folder: Path, call: str) -> None:
    code, _, stderr = run(folder, f"{WORK}\nwork('earlier')\nthreading.Thread(target={call}, daemon=True).start()")
    assert code == 0
    assert FORBIDS_LATE_THREADS or "Traceback" not in stderr


@pytest.mark.parametrize("before", ["", "import threading"])
def test_a_first_import_while_python_ends_hangs_neither(folder: Path, before: str) -> None:
    late = "def late():\n    from snapdir import blocking\n    blocking.id('tree')\natexit.register(late)"
    code, _, stderr = run(folder, f"import atexit\n{before}\n{late}")
    assert code == 0
    assert not stderr or "shutdown" in stderr or ENDING in stderr


def test_where_no_thread_can_start_the_hashing_thread_is_this_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    config = Config(cache_dir=folder / "cache")
    identifier = blocking.id(folder / "tree", config=config)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    assert blocking.id(folder / "tree", config=config) == identifier
