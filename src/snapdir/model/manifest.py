"""The text that is a snapshot: one sorted line per file and directory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import itemgetter

from snapdir.errors import InvalidManifest
from snapdir.model.entry import DIRECTORY, FILE, Entry

MAX_SIZE_BYTES = 2**64 - 1
_SIZE = re.compile(r"\+?[0-9]+", re.ASCII).fullmatch
_SHORT_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\0": "\\0"}
_by_path = itemgetter(4)


class Manifest:
    """Entries in the order of their paths' UTF-8 bytes. Immutable; equal if the text is equal."""

    __slots__ = ("__dict__", "entries")

    def __init__(self, entries: Iterable[Entry]) -> None:
        # Code point order of str is the order of the UTF-8 bytes, so no encoding is needed to sort.
        self.entries: tuple[Entry, ...] = tuple(sorted(entries, key=_by_path))

    @classmethod
    def parse(cls, stored: bytes | str) -> Manifest:
        """Read a stored text. Comments and empty lines are dropped, lines may come in any order, CR LF is accepted.

        Raises:
            InvalidManifest: not UTF-8, or the first line that is malformed.
        """
        if isinstance(stored, bytes):
            try:
                stored = stored.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidManifest(f"not valid UTF-8 at byte {error.start}") from error
        return cls(_entries(stored))

    @cached_property
    def raw(self) -> str:
        """The canonical lines joined by newlines, without a final one."""
        # One comprehension over plain tuples: a million lines without a property.
        return "\n".join(
            [f"{kind} {mode} {checksum} {size} {path}" for kind, mode, checksum, size, path in self.entries]
        )

    @property
    def stored(self) -> bytes:
        """The text in a store, which the id hashes: ``raw`` and one newline."""
        return (self.raw + "\n").encode()

    @property
    def files(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.kind == FILE)

    @property
    def directories(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.kind == DIRECTORY)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(self.entries)

    def __repr__(self) -> str:
        return f"Manifest(entries={len(self.entries)}, raw_len={len(self.raw.encode())})"


def _entries(text: str) -> Iterator[Entry]:
    # Not str.splitlines: VT, FF, NEL and U+2028 are ordinary characters of a path.
    *lines, last = text.split("\n")
    for line in lines:
        stripped = line.removesuffix("\r")
        if stripped and stripped[0] != "#":
            yield _entry(stripped)
    if last and last[0] != "#":
        yield _entry(last)


def _entry(line: str) -> Entry:
    pieces = line.split(" ", 4)
    if len(pieces) < 5:
        raise _malformed(line)
    kind, mode, checksum, size_text, path = pieces
    if kind not in (FILE, DIRECTORY):
        raise InvalidManifest(f"invalid path type {_quoted(kind)} (expected 'F' or 'D')")
    if not (mode and checksum and path):
        raise _malformed(line)
    # The length bound keeps int() linear on a hostile line: 2**64 - 1 has 20 digits.
    size = int(size_text) if _SIZE(size_text) and len(size_text.lstrip("+0")) <= 20 else -1
    if not 0 <= size <= MAX_SIZE_BYTES:
        raise InvalidManifest(f"invalid size field {_quoted(size_text)}")
    return Entry(kind, mode, checksum, size, path)


def _malformed(line: str) -> InvalidManifest:
    return InvalidManifest(f"malformed manifest line (expected 'TYPE PERM CHECKSUM SIZE PATH'): {_quoted(line)}")


def _quoted(text: str, shown_characters: int = 500) -> str:
    """``text`` in double quotes, control characters and invisible ones escaped; long text is cut."""
    escaped = "".join(map(_escaped, text[:shown_characters]))
    return f'"{escaped}"' + ("…" if len(text) > shown_characters else "")


def _escaped(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"
