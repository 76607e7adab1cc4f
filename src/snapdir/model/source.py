"""A file of a tree: listed, and hashed."""

from __future__ import annotations

import os
from typing import NamedTuple

from snapdir.model.entry import FILE, Entry

Identity = tuple[int, int, int, int]
"""(size, mtime_ns, ctime_ns, inode): equal before and after a read if the file did not change."""


def identity_of(status: os.stat_result) -> Identity:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class SourceFile(NamedTuple):
    """One regular file of a tree that is being hashed.

    Attributes:
        path: Its path in the manifest.
        file: The path that opens it.
        mode: Octal text for the manifest: the link's own for a followed link.
        size: Bytes for the manifest: the length of the link's text for a followed link.
        identity: State of the content's file; its size is the number of bytes to read.
    """

    path: str
    file: str
    mode: str
    size: int
    identity: Identity

    @property
    def content_bytes(self) -> int:
        return self.identity[0]


class HashedFile(NamedTuple):
    """A file and the checksum of its content.

    Attributes:
        data: The content itself if it was kept for an upload, else None.
        part_crc32c: CRC32C of each part, for a file that was hashed part by part; else empty.
    """

    source: SourceFile
    checksum: str
    data: bytes | None = None
    part_crc32c: tuple[int, ...] = ()

    @property
    def entry(self) -> Entry:
        return Entry(FILE, self.source.mode, self.checksum, self.source.size, self.source.path)
