"""The manifest of a tree, put together from the texts of its directories while the files are being hashed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from snapdir.errors import SnapdirError
from snapdir.hashing.hasher import HasherFactory
from snapdir.hashing.tree import directory_checksum
from snapdir.model.entry import DIRECTORY, FILE
from snapdir.model.pieces import MEMORY_BYTES, open_unnamed
from snapdir.model.source import HashedFile


class TextRange(NamedTuple):
    """A text in an open file."""

    fd: int
    offset: int
    length: int

    def read(self) -> bytes:
        text = os.pread(self.fd, self.length, self.offset)
        while len(text) < self.length:
            more = os.pread(self.fd, self.length - len(text), self.offset + len(text))
            if not more:
                raise SnapdirError(f"a temporary file has lost {self.length - len(text)} bytes")
            text += more
        return text


class TextSpool:
    """Keeps texts: in memory up to MEMORY_BYTES, further ones in an unnamed temporary file. Close it after use."""

    def __init__(self) -> None:
        self._in_memory = self._in_file = 0
        self._fd = -1

    def keep(self, text: bytes) -> bytes | TextRange:
        if self._in_memory + len(text) <= MEMORY_BYTES:
            self._in_memory += len(text)
            return text
        try:
            if self._fd < 0:
                self._fd = open_unnamed()
            offset, done = self._in_file, 0
            while done < len(text):
                done += os.pwrite(self._fd, text[done:], offset + done)
        except OSError:
            return text  # TMPDIR is full or read-only: memory it is
        self._in_file += len(text)
        return TextRange(self._fd, offset, len(text))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class DirectoryText:
    """One directory: its own line and those of the files directly in it.

    Attributes:
        path: In the manifest; it ends with a slash.
        mode: Octal text.
        checksum: Empty until it is known; at the latest when ``TreeText.finish`` has seen all below.
        size: Bytes of the files in it, and after ``finish`` below it.
        files: Number of files in it.
        text: The lines of its files, sorted.
    """

    __slots__ = (
        *("_awaited", "_checksums", "_chunks", "_in_order", "_is_listed", "_last_path"),
        *("above", "below", "checksum", "files", "is_leaf", "mode", "path", "size", "text"),
    )

    def __init__(self, path: str, mode: str, above: DirectoryText | None) -> None:
        self.path, self.mode, self.above = path, mode, above
        self.checksum, self.size, self.files = "", 0, 0
        self.text: bytes | TextRange = b""
        self.below: set[str] = set()
        self.is_leaf = False
        self._awaited = 0
        self._is_listed = False
        self._chunks: list[bytes] = []
        self._checksums: set[str] = set()
        self._in_order, self._last_path = True, ""

    def add(self, hashed: Sequence[HashedFile]) -> None:
        self._in_order = self._in_order and hashed[0].source.path > self._last_path
        self._last_path = hashed[-1].source.path
        self._awaited -= len(hashed)
        self._checksums.update([file.checksum for file in hashed])
        self.size += sum([file.source.size for file in hashed])
        lines = [f"{FILE} {source.mode} {checksum} {source.size} {source.path}\n" for source, checksum, _, _ in hashed]
        self._chunks.append("".join(lines).encode())

    def await_files(self, count: int) -> None:
        """The directory has so many files: those that are not yet added will be."""
        self.files = count
        self._awaited += count
        self._is_listed = True

    @property
    def is_whole(self) -> bool:
        return self._is_listed and not self._awaited

    def close(self, new_hasher: HasherFactory) -> bytes:
        """The text of all files; nothing else is kept of them."""
        text = b"".join(self._chunks)
        if self.is_leaf:
            self.checksum = directory_checksum(self._checksums, new_hasher)
        self._chunks, self._checksums = [], set()
        return text if self._in_order else _sorted(text)

    def take(self, text: TextRange, *, checksum: str, files: int, size: int) -> None:
        """The directory is known, and nothing in it will be added."""
        self.text, self.checksum, self.files, self.size = text, checksum, files, size

    def read(self) -> bytes:
        return self.text.read() if isinstance(self.text, TextRange) else self.text

    @property
    def line(self) -> bytes:
        return f"{DIRECTORY} {self.mode} {self.checksum} {self.size} {self.path}\n".encode()


class TreeText:
    """The directories of one tree, and the files in them as they are hashed. Threads may add files at once.

    The order of a manifest is that of a walk which takes the entries of each directory by name, a directory's name
    ending in a slash. So nothing is sorted but a directory, and a directory that is hashed is one piece of text.

    Args:
        keep: Called with each directory that is complete, and its text, which it may put into a file.
    """

    def __init__(self, new_hasher: HasherFactory, keep: Callable[[DirectoryText, bytes], None]) -> None:
        self._new_hasher = new_hasher
        self._keep = keep
        self._directories: list[DirectoryText] = []
        self._open: dict[str, DirectoryText] = {}
        self._above: list[DirectoryText] = []
        self._lock = threading.Lock()

    def enter(self, path: str, mode: str) -> DirectoryText:
        """The next directory, in the order of their paths; its files follow."""
        while self._above and not path.startswith(self._above[-1].path):
            self._above.pop()
        directory = DirectoryText(path, mode, self._above[-1] if self._above else None)
        self._above.append(directory)
        self._directories.append(directory)
        self._open[path] = directory
        return directory

    def add(self, hashed: Sequence[HashedFile]) -> None:
        """Files of directories that were entered, those of each batch in the order of their paths."""
        with self._lock:
            for path, files in groupby(hashed, _folder_of):
                directory = self._open[path]
                directory.add(list(files))
                self._close_if_whole(directory)

    def take(self, directory: DirectoryText, text: TextRange, *, checksum: str, files: int, size: int) -> None:
        """All of a directory that was entered is known; ``checksum`` is empty unless it is a leaf."""
        with self._lock:
            del self._open[directory.path]
            directory.take(text, checksum=checksum, files=files, size=size)

    def complete(self, directory: DirectoryText, files: int, *, is_leaf: bool) -> None:
        """The walk has seen all of a directory: so many files, and no directory if it is a leaf."""
        with self._lock:
            directory.is_leaf = is_leaf
            directory.await_files(files)
            self._close_if_whole(directory)

    def finish(self) -> None:
        """Compute the checksums and sizes of all directories, once every file was added."""
        for directory in reversed(self._directories):
            if not directory.checksum:
                checksums = directory.below.union(_checksums_in(directory.read()))
                directory.checksum = directory_checksum(checksums, self._new_hasher)
                directory.below.clear()
            if directory.above is not None:
                directory.above.below.add(directory.checksum)
                directory.above.size += directory.size

    def pieces(self) -> Iterator[bytes]:
        """The lines of the manifest, in order, once it is finished."""
        open_: list[tuple[DirectoryText, bytes, int]] = []
        for directory in self._directories:
            path = directory.path.encode()
            while open_:
                above, text, start = open_.pop()
                inside = directory.above is above
                end = position_of(text, path, start) if inside else len(text)
                if end > start:
                    yield text[start:end]
                if inside:
                    open_.append((above, text, end))
                    break
            yield directory.line
            open_.append((directory, directory.read(), 0))
        for _, text, start in reversed(open_):
            yield text[start:]

    def _close_if_whole(self, directory: DirectoryText) -> None:
        if directory.is_whole:
            del self._open[directory.path]
            directory.text = text = directory.close(self._new_hasher)
            self._keep(directory, text)


def position_of(text: bytes, path: bytes, start: int) -> int:
    """Where the lines of paths from ``path`` on begin in sorted lines, at or after the line at ``start``."""
    low, high = start, len(text)
    while low < high:
        middle = text.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = text.index(b"\n", middle) + 1
        if _path_in(text[middle : end - 1]) < path:
            low = end
        else:
            high = middle
    return low


def _sorted(text: bytes) -> bytes:
    lines = text.split(b"\n")[:-1]
    lines.sort(key=_path_in)
    return b"\n".join([*lines, b""])


def _path_in(line: bytes) -> bytes:
    return line.split(b" ", 4)[4]


def _checksums_in(text: bytes) -> set[str]:
    return {line.split(" ", 3)[2] for line in text.decode().split("\n")[:-1]}


def _folder_of(file: HashedFile) -> str:
    path = file.source.path
    return path[: path.rindex("/") + 1]
