"""One large object that is written into a temporary: segments arrive in any order, and are hashed in sequence."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from blake3 import blake3

from snapdir.disk.sparse import write_at
from snapdir.model.sizes import MIB
from snapdir.transfer.engine.planned_objects import PlannedObject

MISSING, TAKEN, WRITTEN = range(3)
HASH_BLOCK_BYTES = MIB
PART_SIZE_BYTES = 8
"""Bytes of the journal that hold the size of a part; one byte per part follows, 1 for those that are written."""


class Segment(NamedTuple):
    """Parts ``first`` to ``end`` (not included), fetched by one request: ``length`` bytes from ``offset``.

    Attributes:
        hashed_live: They are hashed as they come: everything before them is hashed.
    """

    first: int
    end: int
    offset: int
    length: int
    hashed_live: bool


class Assembly:
    """The temporary of one object of ``size`` bytes, and the state of its parts.

    One thread takes and finishes segments; each segment is written by one thread, which may be any. Bytes that were not
    hashed when they arrived are read back from the file once everything before them is hashed. Behind the object's
    bytes the file holds a journal of the complete parts, with which a later run resumes; it is cut off at the end. The
    hash of the whole decides, never the journal.

    Attributes:
        part_bytes: Length of every part but the last.
        streams: Segments that are being fetched.
    """

    def __init__(self, planned: PlannedObject, size: int, descriptor: int, part_bytes: int) -> None:
        """Blocking: reads the journal of an earlier run, or begins a new one."""
        self.planned = planned
        self.size = size
        self.descriptor = descriptor
        self.streams = 0
        self._abandoned_for = ""
        self.part_bytes = part_bytes
        self._parts = bytearray(-(-size // part_bytes))
        self._hasher = blake3()
        self._hashed_bytes = 0
        self._hashing = False
        self._next = 0
        self._resume()

    def _resume(self) -> None:
        written = os.pread(self.descriptor, PART_SIZE_BYTES + len(self._parts), self.size)
        if int.from_bytes(written[:PART_SIZE_BYTES], "little") == self.part_bytes:
            for number, state in enumerate(written[PART_SIZE_BYTES:]):
                self._parts[number] = WRITTEN if state == 1 else MISSING
            return
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, self.part_bytes.to_bytes(PART_SIZE_BYTES, "little"), self.size)

    @property
    def has_missing(self) -> bool:
        """Whether there is a segment to take."""
        return not self._abandoned_for and self._parts.find(MISSING, self._next) >= 0

    @property
    def is_hashed(self) -> bool:
        return self._hashed_bytes == self.size

    @property
    def is_settled(self) -> bool:
        """Whether ``actual`` is known, and no request or hashing is in progress."""
        return not (self.streams or self._hashing) and (self.is_hashed or bool(self._abandoned_for))

    @property
    def actual(self) -> str:
        """The hash of the whole, or the reason why it was abandoned."""
        return self._abandoned_for or self._hasher.hexdigest()

    @property
    def written_bytes(self) -> int:
        """Bytes of the complete parts: at first those of an earlier run."""
        return sum(self._length(number, number + 1) for number, state in enumerate(self._parts) if state == WRITTEN)

    def take(self, most_parts: int) -> Segment:
        """The first missing parts, at most ``most_parts`` in a row."""
        first = end = self._parts.index(MISSING, self._next)
        while end < len(self._parts) and end - first < most_parts and self._parts[end] == MISSING:
            self._parts[end] = TAKEN
            end += 1
        self._next = end
        self.streams += 1
        offset = first * self.part_bytes
        live = offset == self._hashed_bytes and not self._hashing
        self._hashing = self._hashing or live
        return Segment(first, end, offset, self._length(first, end), live)

    def write(self, segment: Segment, data: memoryview, done: int) -> None:
        """Write the bytes of a segment that follow its first ``done``. Blocking."""
        if segment.hashed_live:
            self._hasher.update(data)
        start = segment.offset + done
        write_at(self.descriptor, data, start)
        end = start + len(data)
        last = end // self.part_bytes if end < self.size else len(self._parts)
        first = start // self.part_bytes
        if last > first:
            os.pwrite(self.descriptor, b"\1" * (last - first), self.size + PART_SIZE_BYTES + first)

    def rest_of(self, segment: Segment, done: int) -> Segment:
        """The part of a segment after its first ``done`` bytes, for a hedged request."""
        return segment._replace(offset=segment.offset + done, length=segment.length - done, hashed_live=False)

    def finish(self, segment: Segment, own_bytes: int) -> None:
        """All of a segment is written, the first ``own_bytes`` by its own request and the rest by a hedge."""
        self.streams -= 1
        self._parts[segment.first : segment.end] = bytes([WRITTEN]) * (segment.end - segment.first)
        if segment.hashed_live:
            self._hashing = False
            self._hashed_bytes = segment.offset + own_bytes

    def abandon(self, segment: Segment, reason: str) -> None:
        """A segment cannot be fetched: give up the object."""
        self.streams -= 1
        self._hashing = self._hashing and not segment.hashed_live
        self._abandoned_for = reason

    def begin_hashing(self) -> bool:
        """Whether parts wait to be hashed and no thread hashes; then the caller calls ``hash_written``."""
        idle = not (self._hashing or self._abandoned_for or self.is_hashed)
        waiting = idle and self._parts[self._hashed_bytes // self.part_bytes] == WRITTEN
        self._hashing = self._hashing or waiting
        return waiting

    def hash_written(self, between: Callable[[], None]) -> None:
        """Hash, from the file, the parts that wait. Blocking; in any thread, after ``begin_hashing``.

        Args:
            between: Called before every block; what it raises ends the hashing.
        """
        block = memoryview(bytearray(min(HASH_BLOCK_BYTES, self.size)))
        while not self.is_hashed and self._parts[(number := self._hashed_bytes // self.part_bytes)] == WRITTEN:
            end = min((number + 1) * self.part_bytes, self.size)
            while (rest := end - self._hashed_bytes) and (
                read := os.preadv(self.descriptor, [block[:rest]], self._hashed_bytes)
            ):
                between()
                self._hasher.update(block[:read])
                self._hashed_bytes += read
            # If another process has cut the file, the hash will tell.
            self._hashed_bytes = end
        self._hashing = False

    def noted_bytes(self) -> int:
        """Bytes of the parts that the journal lists. Blocking."""
        noted = os.pread(self.descriptor, len(self._parts), self.size + PART_SIZE_BYTES)
        return sum(self._length(number, number + 1) for number, state in enumerate(noted) if state == 1)

    def cut_journal(self) -> None:
        """Remove the journal from the end of the file. Blocking."""
        os.ftruncate(self.descriptor, self.size)

    def restore_journal(self) -> None:
        """Write the journal again, of all parts. Blocking."""
        journal = self.part_bytes.to_bytes(PART_SIZE_BYTES, "little") + b"\1" * len(self._parts)
        os.pwrite(self.descriptor, journal, self.size)

    def _length(self, first: int, end: int) -> int:
        return min(end * self.part_bytes, self.size) - first * self.part_bytes
