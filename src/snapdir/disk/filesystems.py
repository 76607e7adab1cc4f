"""The filesystem of a path or an open file. Blocking."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from snapdir.disk.system import MOUNTS

LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"})
IN_MEMORY = frozenset({"ramfs", "tmpfs"})
KEEPS_STATES = LOCAL - IN_MEMORY - {"overlay"}
"""Where a file keeps its inode and times if it was not changed, and only then. (An overlay takes them from several
filesystems. In memory nothing is written back, so a program that writes through a mapping moves the times once.)"""
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of a mountinfo file: the device (``st_dev``), where it is, and the type of the filesystem."""

    device: int
    point: str
    kind: str


def is_on_local_filesystem(path: str | os.PathLike[str]) -> bool:
    """Whether only processes of this host can have ``path`` open; False if that is unknown."""
    return filesystem_of(os.path.realpath(path), _mounts_here()) in LOCAL


def keeps_states(path: str | os.PathLike[str]) -> bool:
    """Whether equal states of a file mean equal content, by the filesystem of ``path``; False if that is unknown."""
    return filesystem_of(os.path.realpath(path), _mounts_here()) in KEEPS_STATES


def memory_devices() -> frozenset[int]:
    """The devices (``st_dev``) of the known filesystems in memory. Their files may be swapped out."""
    return devices_of(IN_MEMORY, _mounts_here())


def filesystem_of(path: str, mounts: str) -> str:
    """The type of the filesystem that holds the absolute ``path``, by the text of a mountinfo file; empty if none."""
    deepest, kind = -1, ""
    for mount in _parsed(mounts):
        point = mount.point.rstrip("/")
        # Of several at the same point the last is on top.
        if len(point) >= deepest and (path == point or path.startswith(f"{point}/")):
            deepest, kind = len(point), mount.kind
    return kind


def devices_of(kinds: frozenset[str], mounts: str) -> frozenset[int]:
    """The devices of all filesystems of these types, by the text of a mountinfo file."""
    return frozenset(mount.device for mount in _parsed(mounts) if mount.kind in kinds)


def _mounts_here() -> str:
    try:
        return os.fsdecode(MOUNTS.read_bytes())
    except OSError:
        return ""


def _parsed(mounts: str) -> Iterator[Mount]:
    """The lines in the known format. Only newlines end a line: names may hold the other line breaks."""
    for line in mounts.split("\n"):
        before, _, after = line.partition(" - ")
        try:
            _, _, device, _, point, *_ = before.split(" ")
            major, minor = map(int, device.split(":"))
            number = os.makedev(major, minor)
        except (ValueError, OverflowError):
            continue
        yield Mount(number, _ESCAPED.sub(lambda digits: chr(int(digits[1], 8)), point), after.split(" ")[0])
