"""Which filesystem a path is on. Blocking."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["filesystem_of", "is_on_local_filesystem"]

LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"})
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_on_local_filesystem(path: str | os.PathLike[str]) -> bool:
    """Whether only processes of this host can have ``path`` open; False where that is not known."""
    try:
        mounts = MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return False
    return filesystem_of(os.path.realpath(path), mounts) in LOCAL


def filesystem_of(path: str, mounts: str) -> str:
    """The type of the filesystem that holds the absolute ``path``, by the text of a mountinfo file; empty if none."""
    deepest, found = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = _ESCAPED.sub(lambda digits: chr(int(digits[1], 8)), before.split(" ")[4]).rstrip("/")
        # Of several at one place the last is on top.
        if len(point) >= deepest and (path == point or path.startswith(f"{point}/")):
            deepest, found = len(point), after.split(" ")[0]
    return found
