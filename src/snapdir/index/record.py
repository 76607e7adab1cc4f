"""One directory in the index, as bytes: the states of its entries, and the manifest lines of its files.

A record is a HEAD, the five values whose lengths it names, and the beginning of the BLAKE3 of all that. A damaged one
is none.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple

from blake3 import blake3

from snapdir.disk.listing import STATE, UNKNOWN, Listing
from snapdir.hashing.tree_text import DirectoryText, TextRange
from snapdir.model.names import NAMES_ARE_UTF8, name_in_utf8

HEAD = struct.Struct("<4s?xxxIIIIIQQQ")
MAGIC = b"dir1"
SEAL_BYTES = 16
"""Bytes of the BLAKE3 that are kept, to detect damage. They do not stop one who can write to the cache."""

SETTLED_NS = 60_000_000_000
"""A file that changed so shortly before its directory was read may change again under the same times. Writes through a
mapping move them once, until the page is written back: 35 s later, as Linux is set (vm.dirty_expire_centisecs and
vm.dirty_writeback_centisecs). Times themselves move at least every 2 s, on the coarsest filesystem."""


class Record(NamedTuple):
    """A directory as it was read.

    Attributes:
        path: In the manifest.
        is_plain: All its entries were files and directories, and all were listed.
        names, states: As in a Listing; names are joined by NUL. The state of a file that has to be read again is
            UNKNOWN.
        text: The manifest lines of its files.
        checksum: Its own, if it has no directories, else empty.
        files: Number of files.
        size: Their bytes in the manifest.
        content_bytes: The bytes that were read.
        at: Where ``text`` lies.
        start, end: Where the record lies in its file.
    """

    path: str
    is_plain: bool
    names: bytes
    states: bytes
    text: bytes
    checksum: str
    files: int
    size: int
    content_bytes: int
    at: TextRange = TextRange(-1, 0, 0)
    start: int = 0
    end: int = 0

    def matches(self, listing: Listing) -> bool:
        """Whether the directory is the same: nothing in it has to be read, and ``text`` is true."""
        return self.is_plain and self.states == listing.states and self.names == joined(listing.names)

    def unchanged(self, listing: Listing) -> dict[str, str]:
        """The checksums of the files that are the same, by name."""
        before = dict(zip(self.names.split(b"\0"), _cut(self.states), strict=True)) if self.names else {}
        same = {
            name if NAMES_ARE_UTF8 else name_in_utf8(name)
            for name, state in zip(listing.names, _cut(listing.states), strict=True)
            if state != UNKNOWN and before.get(os.fsencode(name)) == state
        }
        lines = (line.split(" ", 4) for line in self.text.decode().split("\n")[:-1])
        start = len(self.path)
        return {path[start:]: checksum for _, _, checksum, _, path in lines if path[start:] in same}

    def encoded(self) -> tuple[bytes, int]:
        """The bytes of the record, and where ``text`` begins in them."""
        path, checksum = self.path.encode(), self.checksum.encode()
        before = b"".join((path, checksum, self.names, self.states))
        head = HEAD.pack(
            *(MAGIC, self.is_plain, len(path), len(checksum), len(self.names), len(self.states), len(self.text)),
            *(self.files, self.size, self.content_bytes),
        )
        body = b"".join((head, before, self.text))
        return body + blake3(body).digest()[:SEAL_BYTES], len(head) + len(before)


class Unsettled(NamedTuple):
    """A directory whose files are being hashed.

    Attributes:
        began_ns: A time before it was listed, by the clock that stamps files.
        device: Its filesystem.
        is_plain: As in a Record.
    """

    directory: DirectoryText
    listing: Listing
    began_ns: int
    device: int
    is_plain: bool

    def record(self, text: bytes) -> Record:
        """The record, when the lines of its files are known."""
        directory, listing = self.directory, self.listing
        states = b"".join(_settled(state, self.began_ns, self.device) for state in _cut(listing.states))
        content = sum(state[3] for state in STATE.iter_unpack(listing.states) if stat.S_ISREG(state[0]))
        return Record(
            path=directory.path,
            is_plain=self.is_plain,
            names=joined(listing.names),
            states=states,
            text=text,
            checksum=directory.checksum if directory.is_leaf else "",
            files=directory.files,
            size=directory.size,
            content_bytes=content,
        )


def read_record(fd: int, position: int) -> Record | None:
    """The record at a position of a file; None at its end, or if it is damaged.

    Raises:
        OSError: the file cannot be read.
    """
    head = os.pread(fd, HEAD.size, position)
    if len(head) < HEAD.size or not head.startswith(MAGIC):
        return None
    _, is_plain, path, checksum, names, states, text, files, size, content_bytes = HEAD.unpack(head)
    length = HEAD.size + path + checksum + names + states + text
    if position + length + SEAL_BYTES > os.fstat(fd).st_size:
        return None
    whole = os.pread(fd, length + SEAL_BYTES, position)
    if len(whole) < length + SEAL_BYTES or blake3(memoryview(whole)[:length]).digest()[:SEAL_BYTES] != whole[length:]:
        return None
    values, start = [], HEAD.size
    for part in (path, checksum, names, states, text):
        values.append(whole[start : start + part])
        start += part
    at = TextRange(fd, position + length - text, text)
    return Record(
        path=values[0].decode(),
        is_plain=is_plain,
        names=values[2],
        states=values[3],
        text=values[4],
        checksum=values[1].decode(),
        files=files,
        size=size,
        content_bytes=content_bytes,
        at=at,
        start=position,
        end=position + length + SEAL_BYTES,
    )


def joined(names: list[str]) -> bytes:
    return os.fsencode("\0".join(names))


def _settled(state: bytes, began_ns: int, device: int) -> bytes:
    """The state of an entry, or UNKNOWN if the file may change without another one, or is no file of ``device``."""
    mode, _, its_device, _, mtime, ctime = STATE.unpack(state)
    if not stat.S_ISREG(mode):
        return state if stat.S_ISDIR(mode) else UNKNOWN
    return state if its_device == device and max(mtime, ctime) < began_ns - SETTLED_NS else UNKNOWN


def _cut(states: bytes) -> list[bytes]:
    size = STATE.size
    return [states[start : start + size] for start in range(0, len(states), size)]
