"""The files of the index: one for each root and way of reading it, in the cache. Blocking."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from snapdir.model.keys import INDEX

HEADER = struct.Struct("<8s32sI")
MAGIC = b"snapidx1"
"""The digit is the version. Another one has files of other names, so that versions can be used side by side."""
MAX_ROOT_BYTES = 1 << 16
"""Of the path in a header: more than any that the kernel takes in one call (4 KiB)."""
_MACHINE = Path("/etc/machine-id")


class IndexPlace(NamedTuple):
    """Where the index lies.

    Attributes:
        cache_dir: The cache.
        max_bytes: How much all of it may take; 0 remembers nothing.
        rehash: Read every file, and remember that instead.
    """

    cache_dir: Path
    max_bytes: int
    rehash: bool = False


class IndexFile(NamedTuple):
    """One file of the index: the root it is about, its bytes, and when it was last used (seconds)."""

    file: Path
    root: str
    size: int
    used_at: float


def key_of(root: str, status: os.stat_result, options: tuple[object, ...]) -> bytes:
    """What a file of the index is for: a directory of this machine, and the options that change what is listed."""
    machine = b""
    with suppress(OSError):
        machine = _MACHINE.read_bytes()
    return blake3(
        repr((MAGIC, machine, root, status.st_dev, status.st_ino, options)).encode(errors="surrogatepass")
    ).digest()


def file_of(place: IndexPlace, key: bytes) -> Path:
    return place.cache_dir / INDEX / key.hex()[:32]


def header_of(key: bytes, root: str) -> bytes:
    named = os.fsencode(root)[:MAX_ROOT_BYTES]
    return HEADER.pack(MAGIC, key, len(named)) + named


def index_files(cache_dir: Path) -> Iterator[IndexFile]:
    """All files of the index; those of another version have no root."""
    try:
        names = sorted(os.listdir(cache_dir / INDEX))
    except OSError:
        return
    for name in names:
        file = cache_dir / INDEX / name
        with suppress(OSError), file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            yield IndexFile(file, _root_in(opened.read(HEADER.size + MAX_ROOT_BYTES)), status.st_size, status.st_mtime)


def keep_within(place: IndexPlace) -> None:
    """Remove the files that were not used for the longest time, until all fit. Never fails."""
    left = place.max_bytes
    for found in sorted(index_files(place.cache_dir), key=lambda found: found.used_at, reverse=True):
        left -= found.size
        if left < 0:
            with suppress(OSError):
                found.file.unlink()


def _root_in(header: bytes) -> str:
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        return ""
    _, _, length = HEADER.unpack_from(header)
    return os.fsdecode(header[HEADER.size : HEADER.size + length])
