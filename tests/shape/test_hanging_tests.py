"""A test that hangs fails after a time limit, wherever it hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
HANGS = {
    "swallows every exception": """
import time

def test():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
""",
    "waits in a thread": """
import threading
import anyio.to_thread

async def test():
    await anyio.to_thread.run_sync(threading.Event().wait)
""",
    "spins behind a shield": """
import anyio
from anyio.lowlevel import checkpoint

async def test():
    with anyio.CancelScope(shield=True):
        while True:
            await checkpoint()
""",
}


@pytest.mark.parametrize("hang", HANGS)
def test_a_test_that_hangs_ends_within_its_timeout(hang: str, tmp_path: Path) -> None:
    (tmp_path / "test_hang.py").write_text(HANGS[hang])
    chosen = ["-c", str(PROJECT / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, "--numprocesses=1", "--timeout=1", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 failed" in ended.stdout
