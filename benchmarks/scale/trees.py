"""The trees of the scale table: a million files in seconds, from seeds, and changes to exactly some of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from blake3 import blake3

from benchmarks.large_file import write_file

__all__ = ["SUFFIX", "ManyFiles", "OneFile", "change", "make"]

KiB = 1 << 10
SUFFIX = ".bin"
"""The end of the name of every file: a trace of system calls is searched for it."""
_PAGE_BYTES = 4 * KiB
_INODE_BYTES = KiB
# Of these, content is made at once. Little, because the memory of a client is measured from that of this process.
_BLOCK_FILES = 1000


@dataclass(frozen=True, slots=True)
class ManyFiles:
    """Equal numbers of small files in directories.

    Attributes:
        sparse: Files are holes: their content is zeros, and equal.
    """

    name: str
    files: int
    directories: int
    file_bytes: int = KiB
    sparse: bool = False

    @property
    def needed_bytes(self) -> int:
        """What the tree takes in memory or on disk."""
        return self.files * (_INODE_BYTES + (0 if self.sparse else -(-self.file_bytes // _PAGE_BYTES) * _PAGE_BYTES))

    def path(self, index: int) -> str:
        """Path of one file in the tree."""
        each = -(-self.files // self.directories)
        return f"d{index // each:06d}/{index:08d}{SUFFIX}"

    def write(self, folder: Path) -> None:
        """Write every file below ``folder``."""
        each = -(-self.files // self.directories)
        written = 0 if self.sparse else self.file_bytes
        for first in range(0, self.files, each):
            indices = range(first, min(first + each, self.files))
            directory = folder / f"d{first // each:06d}"
            directory.mkdir(parents=True)
            _write_directory(directory, indices, written, self.file_bytes)


@dataclass(frozen=True, slots=True)
class OneFile:
    """One file of mostly holes."""

    name: str
    file_bytes: int
    files: int = 1

    @property
    def needed_bytes(self) -> int:
        """One MiB out of 64 is written."""
        return self.file_bytes // 64 + _PAGE_BYTES

    def write(self, folder: Path) -> None:
        """Write it below ``folder``."""
        folder.mkdir(parents=True)
        write_file(folder / f"large{SUFFIX}", self.file_bytes, sparse=True)


def make(tree: ManyFiles | OneFile, folder: Path, say: Callable[[str], None]) -> Path:
    """The directory of the tree below ``folder``, made unless it is complete and unchanged.

    Raises:
        OSError: there is no room; what was written is removed.
    """
    target, marker = folder / tree.name, folder / f"{tree.name}.json"
    recipe = json.dumps(asdict(tree), sort_keys=True)
    if target.is_dir() and marker.is_file() and marker.read_text() == recipe:
        return target
    remove(tree, folder)
    say(f"making {tree.name}: {tree.files:,} files")
    try:
        tree.write(target)
    except BaseException:
        remove(tree, folder)
        raise
    marker.write_text(recipe)
    return target


def remove(tree: ManyFiles | OneFile, folder: Path) -> None:
    """Remove a tree and its marker."""
    (folder / f"{tree.name}.json").unlink(missing_ok=True)
    shutil.rmtree(folder / tree.name, ignore_errors=True)


def change(tree: ManyFiles, folder: Path, count: int, generation: int) -> Sequence[str]:
    """Rewrite ``count`` files at equal distances, with new bytes of the same size, and return their paths.

    The tree no longer counts as complete, so the next session makes it again.
    """
    (folder / f"{tree.name}.json").unlink(missing_ok=True)
    step = max(1, tree.files // count)
    paths = [tree.path(index) for index in range(0, tree.files, step)][:count]
    for path in paths:
        content = blake3(f"{path} {generation}".encode()).digest(length=tree.file_bytes)
        (folder / tree.name / path).write_bytes(content)
    return paths


def _write_directory(directory: Path, indices: range, written_bytes: int, file_bytes: int) -> None:
    """The files of one directory: seeded bytes, or holes."""
    source = blake3(directory.name.encode())
    above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for first in range(0, len(indices), _BLOCK_FILES):
            block = indices[first : first + _BLOCK_FILES]
            content = source.digest(length=len(block) * written_bytes, seek=first * written_bytes)
            for place, index in enumerate(block):
                fd = os.open(f"{index:08d}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=above)
                os.write(fd, content[place * written_bytes : (place + 1) * written_bytes])
                os.ftruncate(fd, file_bytes)
                os.close(fd)
    finally:
        os.close(above)
