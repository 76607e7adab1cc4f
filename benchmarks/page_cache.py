"""Emptying the page cache before a run, so that a tree is read from its device."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

__all__ = ["Dropper", "dropper"]

_DROP_CACHES = Path("/proc/sys/vm/drop_caches")

Dropper = Callable[[Path], None]


def dropper(given: Path = _DROP_CACHES) -> tuple[Dropper, str]:
    """The way to empty the page cache on this machine, and its description."""
    if os.access(given, os.W_OK):

        def drop_all(folder: Path) -> None:
            _write_back(folder)
            given.write_text("3\n")

        return drop_all, "page cache dropped before each run"
    if hasattr(os, "posix_fadvise"):
        return _advise, "pages of the trees given up before each run (posix_fadvise): other caches stay"
    return _keep, "page cache not dropped"


def _advise(folder: Path) -> None:
    """Give up the pages of every file below a folder."""
    _write_back(folder)
    for above, _, names in os.walk(folder):
        for name in names:
            fd = os.open(os.path.join(above, name), os.O_RDONLY)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


def _write_back(folder: Path) -> None:
    """Only pages that are on the device can be dropped."""
    subprocess.run(["sync", "-f", str(folder)], check=True)


def _keep(_: Path) -> None:
    """Nothing can be dropped."""
