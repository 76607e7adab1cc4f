"""Every code block of the README runs, in order, in one shell and one empty directory."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.rclone_server import RcloneServer

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"


class Block(NamedTuple):
    """A fenced block and the line its code starts at."""

    language: str
    line: int
    code: str

    @property
    def is_development(self) -> bool:
        """Commands for a checkout: CI runs those themselves (tests inside tests would not end)."""
        return all(line.startswith("scripts/") for line in self.code.splitlines())

    @property
    def as_shell(self) -> str:
        say = f"echo {shlex.quote(f'--- README.md line {self.line}')}\n"
        if self.language == "python":
            return f"{say}python <<'END_OF_BLOCK'\n{self.code}END_OF_BLOCK\n"
        return say + self.code


def blocks() -> list[Block]:
    text = README.read_text()
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(found[1], text.count("\n", 0, found.start(2)) + 1, found[2]) for found in fences]


@pytest.fixture
def environment(tmp_path: Path, s3_server: RcloneServer) -> dict[str, str]:
    """What a reader would have: the installed program, a home, and a bucket with credentials for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNAPDIR_", "AWS_", "XDG_"))}
    programs = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, **s3_server.environment, "BUCKET": s3_server.bucket, "HOME": str(tmp_path), "PATH": programs}


def test_every_block_runs(environment: dict[str, str], tmp_path: Path) -> None:
    script = "".join(block.as_shell for block in blocks() if not block.is_development)
    folder = tmp_path / "walkthrough"
    folder.mkdir()
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "Traceback" not in run.stdout


def test_every_block_is_one_that_can_run() -> None:
    assert {block.language for block in blocks()} <= {"bash", "python"}


def test_ci_runs_every_command_for_a_checkout() -> None:
    run_by_ci = (PROJECT / ".ci" / "run").read_text().split("\n")
    for block in blocks():
        for command in block.code.splitlines() if block.is_development else ():
            assert os.access(PROJECT / command.split()[0], os.X_OK)
            assert any(line.removeprefix("exec ").removesuffix(" --no-skips") == command for line in run_by_ci)
