"""A long text in pieces: in memory up to MEMORY_BYTES, above that in an unnamed temporary file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from snapdir.model.sizes import KIB, MIB

BLOCK_BYTES = 256 * KIB
"""A text is kept, read, hashed and parsed in blocks of about this size: 2,500 lines of a manifest, in 2 ms."""

MEMORY_BYTES = 64 * MIB
"""The manifest of about 600,000 files stays in memory, where a second reading costs no system call."""


class LineCutter:
    """Cuts a text that comes in pieces into blocks of whole lines, of BLOCK_BYTES to twice that.

    Only a longer line makes a longer block. Linear, however the pieces are cut.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def cut(self, piece: bytes) -> Iterator[bytes]:
        """The blocks that are complete with ``piece``."""
        for start in range(0, len(piece), BLOCK_BYTES):
            part = piece[start : start + BLOCK_BYTES]
            self._size += len(part)
            end = part.rfind(b"\n") + 1 if self._size >= BLOCK_BYTES else 0
            if end:
                yield b"".join([*self._parts, part[:end]])
                self._parts, part = [], part[end:]
                self._size = len(part)
            if part:
                self._parts.append(part)

    def rest(self) -> bytes:
        """What follows the last block. Call it once, at the end."""
        return b"".join(self._parts)


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The text of ``pieces`` in blocks of whole lines; see LineCutter."""
    cutter = LineCutter()
    for piece in pieces:
        yield from cutter.cut(piece)
    if rest := cutter.rest():
        yield rest


class Pieces:
    """Blocks of whole lines: filled once, then read any number of times, from several threads too.

    The file has no name, is read with pread, and is closed with the last reader. Where none can be written (TMPDIR is
    full or read-only), the blocks stay in memory.

    Attributes:
        length: In bytes.
        lines: Number of newlines.
    """

    __slots__ = ("_blocks", "_ends", "_fd", "_spills", "length", "lines")

    def __init__(self) -> None:
        self.length = self.lines = 0
        self._blocks: list[bytes] = []  # those after the file's
        self._fd = -1
        self._ends = [0]  # of the file's blocks, after the beginning of the first
        self._spills = True

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Pieces:
        """The text of ``pieces``, cut into blocks."""
        text = cls()
        for block in whole_lines(pieces):
            text.append(block)
        text.seal()
        return text

    def append(self, block: bytes) -> None:
        """Add a block of whole lines."""
        self._blocks.append(block)
        self.length += len(block)
        self.lines += block.count(b"\n")
        if self._spills and self.length - self._ends[-1] > MEMORY_BYTES:
            self._spill()

    def seal(self) -> None:
        """Nothing follows: if some blocks are in a file, the last ones go there too."""
        if self._fd >= 0 and self._spills:
            self._spill()

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self._ends) - 1 + len(self._blocks)

    def __iter__(self) -> Iterator[bytes]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> bytes:
        """One block, from 0."""
        filed = len(self._ends) - 1
        return self._blocks[index - filed] if index >= filed else self._read(*self._ends[index : index + 2])

    @property
    def file(self) -> int | None:
        """The descriptor of a file with exactly this text, which stays open with this object; None if it has none."""
        return None if self._fd < 0 or self._blocks else self._fd

    def _read(self, start: int, end: int) -> bytes:
        block = os.pread(self._fd, end - start, start)
        while len(block) < end - start:
            more = os.pread(self._fd, end - start - len(block), start + len(block))
            if not more:
                raise OSError(f"a temporary file of {self._ends[-1]} bytes ends after {start + len(block)}")
            block += more
        return block

    def _spill(self) -> None:
        count = 0
        try:
            if self._fd < 0:
                self._fd = open_unnamed()
            for block in self._blocks:
                self._write(block)
                count += 1
        except OSError:
            self._spills = False
        del self._blocks[:count]

    def _write(self, block: bytes) -> None:
        with memoryview(block) as rest:
            done = 0
            while done < len(block):
                done += os.pwrite(self._fd, rest[done:], self._ends[-1] + done)
        self._ends.append(self._ends[-1] + done)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._fd >= 0:
            close(self._fd)


def open_unnamed() -> int:
    """The descriptor of a new temporary file without a name."""
    from tempfile import TemporaryFile  # 5 ms of import that few texts need

    with TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())
