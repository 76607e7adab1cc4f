"""Which filesystem a path or an open file is on. Blocking."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

__all__ = ["filesystem_of", "is_in_memory", "is_on_local_filesystem", "memory_devices"]

LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"})
IN_MEMORY = frozenset({"ramfs", "tmpfs"})
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_on_local_filesystem(path: str | os.PathLike[str]) -> bool:
    """Whether only processes of this host can have ``path`` open; False where that is not known."""
    try:
        mounts = MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return False
    return filesystem_of(os.path.realpath(path), mounts) in LOCAL


def is_in_memory(fd: int) -> bool:
    """Whether an open file has no disk under it; False where that is not known, as with what was mounted just now.

    Safe in a loop: the list of mounts, which is read once, comes from the kernel's memory.
    """
    return os.fstat(fd).st_dev in _memory_devices_here()


@cache
def _memory_devices_here() -> frozenset[int]:
    try:
        return memory_devices(MOUNTS.read_text(errors="surrogateescape"))
    except OSError:
        return frozenset()


def memory_devices(mounts: str) -> frozenset[int]:
    """The devices (``st_dev``) of filesystems that are held in memory, by the text of a mountinfo file."""
    found = set[int]()
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ")[0] in IN_MEMORY:
            major, _, minor = before.split(" ")[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


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
