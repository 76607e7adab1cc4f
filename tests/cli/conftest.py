"""The command line in this process, in a process of its own, and on a terminal."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crc32c  # noqa: F401  # its import reads files; verbs import it in their loop, where `free_loop` counts that
import pytest
from click.testing import CliRunner

import snapdir
from snapdir.cli.main import root
from snapdir.model.digest import SnapshotId
from snapdir.model.sizes import MIB

from .demanding_s3 import Bucket

SOURCE = Path(__file__).parents[2] / "src"
ID = "ab" * 32
OTHER_ID = "cd" * 32


@dataclass(frozen=True)
class Run:
    """What one command line did."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without the caller's variables, with its own home, cache and empty current directory."""
    for name in list(os.environ):
        if name.startswith("SNAPDIR_") or name in {"NO_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)
    for name, folder in {"HOME": "home", "XDG_CACHE_HOME": "xdg", "SNAPDIR_CACHE_DIR": "cache"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("SNAPDIR_PROGRESS_INTERVAL", "0")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    current = tmp_path / "current"
    current.mkdir()
    monkeypatch.chdir(current)
    return tmp_path


def cli(*args: str, stdin: bytes = b"") -> Run:
    """Run in this process."""
    result = CliRunner().invoke(root, list(args), input=stdin)
    return Run(result.exit_code, result.stdout, result.stderr)


def program(*args: str, **options: Any) -> Run:
    """Run in a process of its own. ``patch`` is Python that runs before it."""
    done = subprocess.run(command_line(*args, patch=options.pop("patch", "")), check=False, **CAPTURED | options)
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "surrogateescape"))


def one_line(run: Run) -> str:
    """The error of a run that failed, without its prefix."""
    lines = run.stderr.splitlines()
    assert (run.code, run.stdout, len(lines)) == (1, "", 1), run
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def heed_modes() -> None:
    """In a child process: root loses its right to override modes; other users never have it."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


CAPTURED: dict[str, Any] = {"capture_output": True, "timeout": 60, "stdin": subprocess.DEVNULL}


def command_line(*args: str, patch: str = "") -> list[str]:
    if not patch:
        return [sys.executable, "-m", "snapdir", *args]
    return [sys.executable, "-c", f"{patch}\nfrom snapdir.cli.main import main\nmain()", *args]


@dataclass(frozen=True)
class Screen:
    """What was written to a terminal on stderr (and optionally stdin)."""

    code: int
    stdout: bytes
    drawn: str

    @property
    def frames(self) -> list[str]:
        """The states of the progress line, each without its erasure."""
        return self.drawn.split("\r\x1b[2K")[1:]


def on_terminal(
    *args: str, patch: str = "", columns: int = 100, stdin: bool = False, env: dict[str, str] | None = None
) -> Screen:
    """Run with a terminal of ``columns`` as stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        command_line(*args, patch=patch),
        stdin=theirs if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, **(env or {})},
    )
    os.close(theirs)
    drawn = b"".join(iter(lambda: _read_terminal(ours), b""))
    os.close(ours)
    stdout, _ = process.communicate(timeout=60)
    return Screen(process.returncode, stdout, drawn.decode("utf-8", "replace"))


def _read_terminal(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: the other end is closed
        return b""


@dataclass
class FakeVerbs:
    """Stands in for functions of ``snapdir``: records calls, sets counters, returns or raises."""

    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    counted: dict[str, Any] = field(default_factory=dict)

    def function(self, name: str) -> Callable[..., Any]:
        async def verb(*args: Any, **options: Any) -> Any:
            self.calls.append((name, args, options))
            for counter, value in self.counted.items():
                setattr(options["counters"], counter, value)
            answer = self.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            if "announce" in options:
                options["announce"](answer)
            return answer

        return verb

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]

    @property
    def args(self) -> tuple[Any, ...]:
        return self.calls[-1][1]

    @property
    def options(self) -> dict[str, Any]:
        return self.calls[-1][2]


COROUTINES: Sequence[str] = (
    "manifest", "id", "stage", "push", "push_cached", "fetch", "pull", "checkout", "verify", "verify_cache",
    "flush_cache",
)  # fmt: skip


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> FakeVerbs:
    pulled = dict.fromkeys(("fetch", "pull", "checkout"), snapdir.PullReport(SnapshotId(ID)))
    fake = FakeVerbs(answers={"id": ID, "stage": ID, "push": ID, "push_cached": ID, "verify": True} | pulled)
    for name in COROUTINES:
        monkeypatch.setattr(snapdir, name, fake.function(name))
    monkeypatch.setattr(snapdir, "version", lambda: "1.2.3")
    return fake


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with Bucket() as server:
        for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(bytes(17 * MIB))
    return folder
