"""A program may be started with stdin, stdout or stderr closed, as daemons and some schedulers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.rclone_server import RcloneServer, s3_server

from .conftest import ID, Run, cli

__all__ = ["s3_server"]

CLOSED = "error: I/O error: standard output: it is closed\n"
ALL = "<&- >&- 2>&-"


@pytest.fixture(params=["file", "s3"])
def store(
    request: pytest.FixtureRequest,
    s3_server: RcloneServer,  # the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/store"
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"closed-{uuid4()}"
    s3_server.make_bucket(bucket)
    return f"s3://{bucket}/sets"


@pytest.fixture
def pushed(store: str, tmp_path: Path) -> str:
    """The id of a snapshot in ``store``."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    run = cli("push", "--store", store, str(tmp_path / "tree"))
    assert run.code == 0, run.stderr
    return run.stdout.strip()


def closed(redirections: str, *args: str) -> Run:
    """Run in a process of its own that starts with some of its streams closed."""
    shell = f'exec "$0" -m snapdir "$@" {redirections}'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- 2>&-", ALL])
def test_every_command_runs_as_with_dev_null(redirections: str, store: str, pushed: str, tmp_path: Path) -> None:
    writes, out = ">&-" in redirections.split(), str(tmp_path / "out")
    told = CLOSED if writes and "2>&-" not in redirections else ""
    for args, output in (
        (("push", "--quiet", "--store", store, str(tmp_path / "tree")), f"{pushed}\n"),
        (("ls", "--quiet", f"{store}@{pushed}"), None),
        (("cat", "--quiet", f"{store}@{pushed}", "file"), "content"),
    ):
        run = closed(redirections, *args)
        assert (run.code, run.stderr) == ((1, told) if writes else (0, "")), args
        assert run.stdout == "" if writes else run.stdout == output or output is None
    assert closed(redirections, "pull", "--quiet", "--store", store, "--id", pushed, out) == Run(0, "", "")
    assert Path(out, "file").read_text() == "content"


def test_a_pack_for_a_closed_stdout_is_an_error(store: str, pushed: str) -> None:
    Path("none").touch()
    for args in (("send-pack", "--ids", "none", "--manifest-id", pushed), ("objects-needed",)):
        assert closed(">&-", *args, "--store", store) == Run(1, "", CLOSED), args


def test_a_closed_stdin_is_no_empty_pack(store: str, pushed: str) -> None:
    for args in (("send-pack", "--ids", "-", "--manifest-id", pushed), ("objects-needed",), ("receive-pack",)):
        run = closed("<&-", *args, "--store", store)
        assert (run.code, run.stdout) == (1, ""), args
        assert run.stderr == "error: I/O error: standard input: it is closed\n", args


def test_a_program_of_a_store_gets_dev_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin/snapdir-streams-store"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nls -l /proc/$$/fd > "{tmp_path}/streams"\nexit 9\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    assert closed(ALL, "verify", "--store", "streams://host", "--id", ID).code == 1
    open_there = {line.split()[-3] for line in (tmp_path / "streams").read_text().splitlines() if " -> " in line}
    assert {"0", "1", "2"} <= open_there
