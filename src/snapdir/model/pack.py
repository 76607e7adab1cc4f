"""SNAPPACK: objects and a manifest in one stream. The grammar, without any I/O.

A line ``SNAPPACK 1``, then records, each a line ``obj <digest> <length>`` and the raw bytes, at most one
``manifest <digest> <length>`` and its text as the last of them, and a line ``end``. ``SNAPPACK 1Z`` is the same with
everything after the first line in one zstd frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from snapdir.errors import InvalidPack, SnapdirError
from snapdir.model.digest import Digest
from snapdir.model.sizes import MIB, format_size

MAGIC = b"SNAPPACK 1\n"
MAGIC_ZSTD = b"SNAPPACK 1Z\n"
END = b"end\n"
OBJECT = "obj"
MANIFEST = "manifest"
MAX_LINE_BYTES = 128
MAX_MANIFEST_BYTES = 64 * MIB
MAX_LENGTH = 2**64 - 1

# Exactly one spelling of every record: a length has no sign and no leading zero, a digest no upper case.
_RECORD = re.compile(rb"(obj|manifest) ([0-9a-f]{64}) (0|[1-9][0-9]{0,19})").fullmatch
_DIGEST = re.compile(rb"[0-9a-f]{64}").fullmatch


class RecordStart(NamedTuple):
    """A record of ``length`` bytes begins; ``kind`` is OBJECT or MANIFEST."""

    kind: str
    digest: Digest
    length: int


class PayloadBlock(NamedTuple):
    """The next bytes of the record: a view of the block that was fed."""

    data: memoryview


class RecordEnd(NamedTuple):
    """The record is complete."""


PackEvent = RecordStart | PayloadBlock | RecordEnd


def record_line(kind: str, digest: Digest, length: int) -> bytes:
    return f"{kind} {digest} {length}\n".encode()


class PackParser:
    """Turns blocks of a pack, after its first line, into events. Keeps at most one line."""

    def __init__(self) -> None:
        self.ended = False
        self._line = bytearray()
        self._remaining_bytes: int | None = None
        self._had_manifest = False

    def feed(self, block: bytes) -> Iterator[PackEvent]:
        """The events of the next block.

        Raises:
            InvalidPack: the bytes are not a pack, or continue after its end.
        """
        rest = memoryview(block)
        while rest:
            if self._remaining_bytes is None:
                record, rest = self._read_line(rest)
                if record is not None:
                    self._remaining_bytes = record.length
                    yield record
            else:
                data, rest = rest[: self._remaining_bytes], rest[self._remaining_bytes :]
                self._remaining_bytes -= len(data)
                yield PayloadBlock(data)
            if self._remaining_bytes == 0:
                self._remaining_bytes = None
                yield RecordEnd()

    def close(self) -> None:
        """End the stream.

        Raises:
            InvalidPack: the pack is not complete.
        """
        if not self.ended:
            raise InvalidPack("it ends before its last line, 'end'")

    def _read_line(self, rest: memoryview) -> tuple[RecordStart | None, memoryview]:
        if self.ended:
            raise InvalidPack("data follows its last line, 'end'")
        head = bytes(rest[: MAX_LINE_BYTES + 1 - len(self._line)])
        line, newline, _ = head.partition(b"\n")
        self._line += line
        if not newline:
            if len(self._line) >= MAX_LINE_BYTES:
                raise InvalidPack(f"a line is longer than {MAX_LINE_BYTES} bytes")
            return None, rest[len(head) :]
        complete = bytes(self._line)
        self._line.clear()
        return self._record(complete), rest[len(line) + 1 :]

    def _record(self, line: bytes) -> RecordStart | None:
        if line + b"\n" == END:
            self.ended = True
            return None
        if self._had_manifest:
            raise InvalidPack("a line other than 'end' follows the manifest")
        matched = _RECORD(line)
        if matched is None:
            raise InvalidPack(f"not a record: {line[:80]!r}")
        record = RecordStart(matched[1].decode(), Digest(matched[2].decode()), int(matched[3]))
        self._had_manifest = record.kind == MANIFEST
        if self._had_manifest and record.length > MAX_MANIFEST_BYTES:
            raise InvalidPack(
                f"a manifest of {record.length} bytes is longer than the {format_size(MAX_MANIFEST_BYTES)} allowed"
            )
        if record.length > MAX_LENGTH:
            raise InvalidPack(f"invalid object length {record.length}")
        return record


def parse_digests(text: bytes) -> list[Digest]:
    """The digests of a list with one on each line, in order, without repeats; blank lines are skipped.

    Raises:
        SnapdirError: a line is anything else.
    """
    digests: dict[Digest, None] = {}
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            continue
        if not _DIGEST(line):
            raise SnapdirError(f"line {number} of the ids is not 64 lowercase hexadecimal digits: {line[:80]!r}")
        digests[Digest(line.decode())] = None
    return list(digests)
