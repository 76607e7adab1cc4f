"""What is open behind a descriptor."""

from __future__ import annotations

from os import readlink  # by name: a check for blocking calls need not look, /proc waits for no disk

__all__ = ["path_of_descriptor"]


def path_of_descriptor(descriptor: int) -> str:
    """The path of an open file, for messages."""
    try:
        return readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"file descriptor {descriptor}"
