"""What tells two states of a file apart without reading it."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["FileIdentity"]


class FileIdentity(NamedTuple):
    """Size, times, inode and device of one file at one moment. Immutable; equal means: seen unchanged.

    A write inside one timestamp tick of the filesystem leaves all five alone, so equality proves something only for
    a file whose times lie further back than that.
    """

    # A tuple, not a frozen dataclass: 0.35 against 0.7 µs to make one, and every file of a tree makes two.
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """The identity that ``os.stat`` or ``os.fstat`` reported."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
