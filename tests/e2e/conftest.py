"""The program as a user runs it, and one S3 server for the tests that need one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.rclone_server import s3_server

__all__ = ["Program", "Run", "s3_server"]

SOURCE = Path(__file__).parents[2] / "src"
KEY = "AKIDCANARY"
SECRET = "canary-secret"


@dataclass(frozen=True)
class Run:
    """What one command line did."""

    code: int
    stdout: str
    stderr: str

    def failed_clearly(self, *words: str, code: int = 1) -> None:
        """One line on stderr that holds ``words``, the exit code, nothing on stdout, no secret."""
        assert self.code == code, self
        assert self.stdout == "", self
        assert self.stderr.count("\n") == 1, self.stderr
        assert self.stderr.strip().isprintable(), self.stderr
        for word in words:
            assert word in self.stderr
        for never in ("Traceback", "internal error", SECRET, "canary-wrong"):
            assert never not in self.stderr


@dataclass
class Program:
    """`python -m snapdir` in ``folder``, with a cache of its own and canaries for credentials."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "snapdir", *args]

    def options(self, more: Mapping[str, str]) -> dict[str, Any]:
        return {"cwd": self.folder, "env": {**self.environment, **more}, "stdin": subprocess.DEVNULL}

    def __call__(self, *args: str, env: Mapping[str, str] | None = None, **options: Any) -> Run:
        done = subprocess.run(
            self.command(*args), capture_output=True, check=False, timeout=60, **self.options(env or {}), **options
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "backslashreplace"))

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*args),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **self.options(env or {}),
        )

    def id(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """The id a successful run prints."""
        run = self(*args, env=env)
        assert run.code == 0, run.stderr
        return run.stdout.strip()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNAPDIR_", "AWS_", "XDG_"))}
    ours = {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(SOURCE),
        "SNAPDIR_CACHE_DIR": str(tmp_path / "cache"),
        "SNAPDIR_RETRY_BASE_MS": "1",
        "SNAPDIR_RETRY_MAX_MS": "10",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SNAPDIR_PROGRESS_INTERVAL": "0",
    }
    return Program(tmp_path, {**kept, **ours})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree: a file above the inline sizes, and some small ones."""
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "big").write_bytes(bytes(range(256)) * 8192)
    for number in range(3):
        (folder / "sub" / f"f{number}").write_bytes(b"%d" % number * 2000)
    return folder


def left_behind(folder: Path, allowed: Sequence[str] = ()) -> list[str]:
    """Files below a folder, but for those in directories named ``allowed``."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in found if not set(path.parts) & set(allowed))
