"""The guard of destinations: directories that a mirror must not delete from. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from snapdir.errors import DestinationConflict


class ProtectedDirectory(NamedTuple):
    """A directory that need not exist, and its name in the message.

    Attributes:
        closed: Nothing inside it may be mirrored to either.
    """

    path: str
    name: str
    closed: bool


def refuse_protected(destination: str | os.PathLike[str], directories: Iterable[ProtectedDirectory]) -> None:
    """Refuse a destination that is one of ``directories``, holds one, or lies in a closed one.

    Links are resolved, and directories are compared by device and inode too, which finds other spellings and mounts.

    Raises:
        DestinationConflict: it may not be mirrored to.
    """
    own, above = _ancestry(destination)
    for directory in directories:
        itself, holders = _ancestry(directory.path)
        if own & itself:
            relation = "it is"
        elif own & holders:
            relation = "it holds"
        elif directory.closed and above & itself:
            relation = "it lies in"
        else:
            continue
        raise DestinationConflict(
            destination, f"refusing to mirror-delete this directory: {relation} {directory.name}; choose another one"
        )


Key = str | tuple[int, int]


def _ancestry(path: str | os.PathLike[str]) -> tuple[set[Key], set[Key]]:
    """The keys of a directory, and those of its parents."""
    real = os.path.realpath(path)
    above: set[Key] = set()
    parent = real
    while (higher := os.path.dirname(parent)) != parent:
        parent = higher
        above |= _keys(parent)
    return _keys(real), above


def _keys(real: str) -> set[Key]:
    try:
        status = os.stat(real)
    except OSError:
        return {real}
    return {real, (status.st_dev, status.st_ino)}
