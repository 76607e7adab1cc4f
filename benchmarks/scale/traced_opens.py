"""How many files of a tree a command opens, by strace: it counts in every thread and child, whatever opens them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.peers import Command
from benchmarks.scale.trees import SUFFIX

__all__ = ["available", "count_opens", "opens_in", "traced"]

# A file of a tree, opened at last: not a directory, and not a call that failed or that a signal cut in two.
_OPENED = re.compile(rf'"[^"]*{re.escape(SUFFIX)}", (?!.*O_DIRECTORY).*= \d+')


def available() -> bool:
    """Whether strace is installed."""
    return shutil.which("strace") is not None


def traced(command: Command, log: Path) -> Command:
    """The same command under strace; processes are stopped at opens only."""
    strace = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=open,openat,openat2", "-e", "signal=none")
    return replace(command, argv=(*strace, "-o", str(log), *command.argv))


def opens_in(lines: Iterable[str]) -> int:
    """The files of a tree that a trace opened.

    A call that another thread interrupted is written in two lines: the name stands in the first, the result in the
    second, so the first counts.
    """
    return sum(1 for line in lines if _OPENED.search(line) or (SUFFIX + '"' in line and "<unfinished" in line))


def count_opens(log: Path) -> int:
    """``opens_in`` of a log; 0 if there is none."""
    if not log.is_file():
        return 0
    with log.open(errors="replace") as lines:
        return opens_in(lines)
