"""Directory trees of seeded, incompressible bytes: equal on every machine, and generated once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from blake3 import blake3

__all__ = ["CHANGED_FILES_PER_THOUSAND", "FileGroup", "Tree", "change", "changed_indices", "make", "restore"]

KiB = 1 << 10
MiB = 1 << 20
_BLOCK_BYTES = MiB
_PER_DIRECTORY = 100
CHANGED_FILES_PER_THOUSAND = 10


@dataclass(frozen=True, slots=True)
class FileGroup:
    """``count`` files below ``folder``, with seeded sizes in [smallest_bytes, largest_bytes].

    Attributes:
        same_as: The group whose content is duplicated; it must not be smaller.
        depth: Additional directories between the folder and its files.
    """

    folder: str
    count: int
    smallest_bytes: int
    largest_bytes: int
    same_as: str = ""
    depth: int = 0

    def size(self, index: int) -> int:
        """Size of one file."""
        spread = self.largest_bytes - self.smallest_bytes
        if not spread:
            return self.smallest_bytes
        drawn = int.from_bytes(blake3(f"size {self.same_as or self.folder} {index}".encode()).digest(length=8))
        return self.smallest_bytes + drawn % (spread + 1)

    def path(self, index: int) -> str:
        """Path of one file in the tree."""
        levels = [self.folder, *(f"level-{level}" for level in range(self.depth))]
        if self.count > _PER_DIRECTORY:
            levels.append(f"{index // _PER_DIRECTORY:04d}")
        return "/".join([*levels, f"{index:06d}.bin"])

    def blocks(self, index: int, *, generation: int = 0) -> Iterator[bytes]:
        """Content of one file, in blocks. Each generation differs in every byte and is one byte longer."""
        content = blake3(f"bytes {self.same_as or self.folder} {index} {generation}".encode())
        size = self.size(index) + generation
        for start in range(0, size, _BLOCK_BYTES):
            yield content.digest(length=min(_BLOCK_BYTES, size - start), seek=start)


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree of a scenario."""

    name: str
    groups: tuple[FileGroup, ...]

    @property
    def file_count(self) -> int:
        """Files, duplicates included."""
        return sum(group.count for group in self.groups)

    @property
    def object_count(self) -> int:
        """Distinct contents: the objects of a snapshot."""
        return sum(group.count for group in self.groups if not group.same_as)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(group.size(index) for group in self.groups for index in range(group.count))

    @property
    def largest_file_bytes(self) -> int:
        """Upper bound of the size of a file."""
        return max(group.largest_bytes for group in self.groups)


def make(tree: Tree, folder: Path) -> Path:
    """The directory of the tree below ``folder``, generated unless it is complete and unchanged."""
    target, marker = folder / tree.name, folder / f"{tree.name}.json"
    recipe = json.dumps(asdict(tree), sort_keys=True)
    if target.is_dir() and marker.is_file() and marker.read_text() == recipe:
        return target
    shutil.rmtree(target, ignore_errors=True)
    for group in tree.groups:
        for index in range(group.count):
            _write(target / group.path(index), group.blocks(index))
    marker.write_text(recipe)
    return target


def change(tree: Tree, folder: Path, generation: int) -> int:
    """Rewrite 1 % of the files as ``generation``, and return their number.

    The tree counts as incomplete until ``restore``, so the next run generates it again if this one dies.
    """
    (folder / f"{tree.name}.json").unlink(missing_ok=True)
    return _rewrite(tree, folder / tree.name, generation)


def restore(tree: Tree, folder: Path) -> None:
    """Undo all changes."""
    _rewrite(tree, folder / tree.name, 0)
    (folder / f"{tree.name}.json").write_text(json.dumps(asdict(tree), sort_keys=True))


def changed_indices(count: int) -> Sequence[int]:
    """The files that ``change`` rewrites: every hundredth of ``count``."""
    return range(0, count, 1000 // CHANGED_FILES_PER_THOUSAND)


def _rewrite(tree: Tree, target: Path, generation: int) -> int:
    group = tree.groups[0]
    for index in changed_indices(group.count):
        _write(target / group.path(index), group.blocks(index, generation=generation))
    return len(changed_indices(group.count))


def _write(file: Path, blocks: Iterator[bytes]) -> None:
    try:
        handle = file.open("wb")
    except FileNotFoundError:
        os.makedirs(file.parent)
        handle = file.open("wb")
    with handle:
        for block in blocks:
            handle.write(block)
