"""Comparing a pulled tree with the original."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["first_difference"]

_BLOCK_BYTES = 1 << 20


def first_difference(expected: Path, actual: Path) -> str:
    """The first file that is missing, extra or different, in words; empty if the trees are equal."""
    wanted, found = dict(_files(expected)), dict(_files(actual))
    for path in sorted(wanted.keys() | found.keys()):
        if path not in found:
            return f"{path} was not pulled"
        if path not in wanted:
            return f"{path} was never pushed"
        if wanted[path] != found[path] or not _same_bytes(expected / path, actual / path):
            return f"{path} differs"
    return ""


def _files(root: Path) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(root):
        for name in names:
            file = os.path.join(folder, name)
            yield os.path.relpath(file, root), os.lstat(file).st_size


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while block := left.read(_BLOCK_BYTES):
            if block != right.read(_BLOCK_BYTES):
                return False
    return True
