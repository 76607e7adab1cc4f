"""The code blocks of a page of documentation, as one script for bash."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.rclone_server import RcloneServer

__all__ = ["Block", "as_script", "blocks", "readers_environment", "run_blocks"]

# Runs blocks like the cells of a notebook: they share their names, and each may await.
RUN_CELLS = """
import ast, asyncio, inspect, sys
names = {"__name__": "__main__"}
with asyncio.Runner() as runner:
    for cell in sys.stdin.read().split("# next cell\\n"):
        code = compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        waiting = eval(code, names)
        if inspect.iscoroutine(waiting):
            runner.run(waiting)
"""


class Block(NamedTuple):
    """A fenced block and the line its code starts at."""

    page: str
    language: str
    line: int
    code: str

    @property
    def is_development(self) -> bool:
        """Commands for a checkout: CI runs those themselves (tests inside tests would not end)."""
        return all(line.startswith("scripts/") for line in self.code.splitlines())

    @property
    def announced(self) -> str:
        """A command that prints where the block stands."""
        return f"echo {shlex.quote(f'--- {self.page} line {self.line}')}\n"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page.name, found[1], text.count("\n", 0, found.start(2)) + 1, found[2]) for found in fences]


def as_script(page: Sequence[Block]) -> str:
    """One script for bash; consecutive blocks of Python are cells of one program."""
    pieces = []
    for language, group in groupby(page, key=lambda block: block.language):
        if language == "python":
            program = [*group]
            cells = "# next cell\n".join(block.code for block in program)
            pieces += [
                program[0].announced,
                f"python -c {shlex.quote(RUN_CELLS)} <<'END_OF_BLOCK'\n{cells}END_OF_BLOCK\n",
            ]
        else:
            pieces += [block.announced + block.code for block in group]
    return "".join(pieces)


def readers_environment(home: Path, server: RcloneServer) -> dict[str, str]:
    """What a reader would have: the installed program, a home, and credentials for a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNAPDIR_", "AWS_", "XDG_"))}
    programs = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, **server.environment, "HOME": str(home), "PATH": programs}


def run_blocks(script: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a script as a careful reader would, stopping at the first failure; returns what it printed."""
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
    return run.stdout
