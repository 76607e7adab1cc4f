"""Workload files: what they ask for, and whether snapdir can do it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

__all__ = ["InvalidWorkload", "Task", "Unsupported", "Workload", "read_workload"]

_VERSION = 2
_ACTIONS = ("upload", "download")
# snapdir sends CRC32C with every body; other checksums cannot be asked for.
_CHECKSUMS = (None, "CRC32C")


class InvalidWorkload(Exception):
    """The file is not a workload."""


class Unsupported(Exception):
    """snapdir, or this host, cannot run the workload."""


@dataclass(frozen=True, slots=True)
class Task:
    """One file: its key is also its path on disk."""

    action: str
    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload, as in its file.

    Attributes:
        name: The name of its file, without ``.run.json``.
        files_on_disk: Files lie on disk; else in memory.
    """

    name: str
    files_on_disk: bool
    max_repeat_count: int
    max_repeat_seconds: float
    tasks: tuple[Task, ...]

    def of(self, action: str) -> Sequence[Task]:
        """The uploads or the downloads."""
        return [task for task in self.tasks if task.action == action]

    @property
    def size(self) -> int:
        """Bytes of one run."""
        return sum(task.size for task in self.tasks)


def read_workload(file: Path) -> Workload:
    """
    Raises:
        InvalidWorkload: the file cannot be read, or is not a workload.
        Unsupported: another version of the format, or a checksum that snapdir does not send.
    """
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidWorkload(f"{file}: {error}") from error
    if not isinstance(data, dict) or "version" not in data:
        raise InvalidWorkload(f"{file}: not a workload: it has no version")
    if data["version"] != _VERSION:
        raise Unsupported(f"{file}: version {data['version']}; this runner knows version {_VERSION}")
    try:
        workload = _parsed(file.name.split(".", 1)[0], data)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidWorkload(f"{file}: {reason}") from error
    if data["checksum"] not in _CHECKSUMS:
        raise Unsupported(f"{file}: checksum {data['checksum']}; snapdir sends CRC32C only")
    return workload


def _parsed(name: str, data: dict[str, Any]) -> Workload:
    tasks = tuple(_task(each) for each in data["tasks"])
    if not tasks:
        raise ValueError("no tasks")
    if len({task.key for task in tasks}) != len(tasks):
        raise ValueError("a key occurs twice")
    if data["filesOnDisk"] not in (True, False):
        raise ValueError("filesOnDisk is neither true nor false")
    return Workload(name, data["filesOnDisk"], int(data["maxRepeatCount"]), float(data["maxRepeatSecs"]), tasks)


def _task(data: dict[str, Any]) -> Task:
    task = Task(data["action"], data["key"], int(data["size"]))
    if task.action not in _ACTIONS:
        raise ValueError(f"{task.action!r} is neither upload nor download")
    path = PurePosixPath(task.key)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{task.key!r} is not a path below the current directory")
    if task.size < 0:
        raise ValueError(f"{task.key!r} has a negative size")
    return task
