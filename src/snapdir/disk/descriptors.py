"""What is open behind a descriptor."""

from __future__ import annotations

import os

__all__ = ["path_of_descriptor"]


def path_of_descriptor(descriptor: int) -> str:
    """The path of an open file, for messages."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"file descriptor {descriptor}"
