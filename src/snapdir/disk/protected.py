"""Directories that no mirror may be laid over, whatever its user types. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from snapdir.errors import DestinationConflict

__all__ = ["ProtectedDirectory", "refuse_protected"]


class ProtectedDirectory(NamedTuple):
    """A directory that need not exist, and its name in the message.

    Attributes:
        closed: Nothing inside it may be mirrored to either.
    """

    path: str
    name: str
    closed: bool


def refuse_protected(destination: str | os.PathLike[str], places: Iterable[ProtectedDirectory]) -> None:
    """Refuse a destination that is one of ``places``, holds one, or lies in a closed one.

    Links are resolved, and directories are told apart by device and inode too, so that no other spelling or mount of
    them gets past.

    Raises:
        DestinationConflict: it may not be mirrored to.
    """
    own, above = _ancestry(destination)
    for place in places:
        itself, holders = _ancestry(place.path)
        if own & itself:
            relation = "it is"
        elif own & holders:
            relation = "it holds"
        elif place.closed and above & itself:
            relation = "it lies in"
        else:
            continue
        raise DestinationConflict(
            destination, f"refusing to mirror-delete it: {relation} {place.name}; choose a directory of its own"
        )


Key = str | tuple[int, int]


def _ancestry(path: str | os.PathLike[str]) -> tuple[set[Key], set[Key]]:
    """What a directory is known by, and what those above it are known by."""
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
