"""The limits of memory and processor time that Linux sets for groups of processes, by their files (cgroup v1 and v2).

Groups are nested, and the smallest limit counts. All files are in memory, so that reading them waits for no disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from os import read  # by name: see readlink in snapdir.disk.system

V1, V2 = "cgroup", "cgroup2"

NO_LIMIT_BYTES = 1 << 60
"""Version 1 shows a number above this where there is no limit."""

BLOCK_BYTES = 1 << 16
"""Read at once: most of these files come in one read."""

_MEMORY_FILES = {V1: ("memory.limit_in_bytes",), V2: ("memory.max", "memory.high")}
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def cgroup_memory_bytes(root: str = "/") -> int | None:
    """The memory that the groups of this process may use; None without a limit, and without cgroups.

    Args:
        root: The directory that has ``proc`` and the mounted cgroup filesystems.

    Cost: about 0.1 ms.
    """
    limits = [
        int(words[0])
        for group, version in _groups(root, "memory")
        for name in _MEMORY_FILES[version]
        if len(words := _words(f"{group}/{name}")) == 1 and words[0].isdecimal()
    ]
    smallest = min(limits, default=NO_LIMIT_BYTES)
    return smallest if smallest < NO_LIMIT_BYTES else None


def cgroup_cpus(root: str = "/") -> float | None:
    """The processors that the groups of this process may keep busy; None without a quota, and without cgroups.

    Args:
        root: As for ``cgroup_memory_bytes``.
    """
    return min(filter(None, (_cpus(group, version) for group, version in _groups(root, "cpu"))), default=None)


def _cpus(group: str, version: str) -> float | None:
    if version == V2:
        words = _words(f"{group}/cpu.max")
    else:
        words = [*_words(f"{group}/cpu.cfs_quota_us"), *_words(f"{group}/cpu.cfs_period_us")]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or not int(words[1]):
        return None  # "max" and -1 are no quota
    return int(words[0]) / int(words[1])


def _groups(root: str, controller: str) -> Iterator[tuple[str, str]]:
    """Directory and version of each group of this process that may limit ``controller``, from the inside out."""
    paths = _paths(root)
    for version, options, inside, point in _mounts(root):
        path = paths.get("" if version == V2 else controller)
        if path is None or (version == V1 and controller not in options.split(",")):
            continue
        # A container may see its own group at the mount, by a path that counts from outside.
        below = path[len(inside.rstrip("/")) :] if f"{path}/".startswith(f"{inside.rstrip('/')}/") else ""
        names = [] if ".." in below.split("/") else list(filter(None, below.split("/")))
        for depth in range(len(names), -1, -1):
            yield "/".join((root.rstrip("/") + point, *names[:depth])), version


def _paths(root: str) -> dict[str, str]:
    """The group of this process by controller, as ``/proc`` shows it; the name of version 2 is empty."""
    paths = {}
    for line in _text(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _mounts(root: str) -> Iterator[tuple[str, str, str, str]]:
    """Version, options, group and mount point of each mounted cgroup filesystem."""
    for line in _text(f"{root}/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if kinds[0] in (V1, V2) and len(fields) >= 5:
            yield kinds[0], kinds[-1], _unescaped(fields[3]), _unescaped(fields[4])


def _unescaped(path: str) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda digits: bytes((int(digits[1], 8),)), os.fsencode(path)))


def _words(file: str) -> list[str]:
    return _text(file).split()


def _text(file: str) -> str:
    """The content of a file; empty if it is not there or may not be read."""
    content = b""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while block := read(descriptor, BLOCK_BYTES):
                content += block
        finally:
            os.close(descriptor)
    except OSError:
        return ""
    return os.fsdecode(content)
