"""Snapshots that were complete in a store: a hint that saves a push its look-ups. Blocking.

One file for each snapshot below ``<cache>/.known/<store>/``, named by its id: the sorted 32-byte digests of its
objects, and a last record of 32 bytes with the length and CRC32C of the manifest's text and the beginning of the BLAKE3
of everything before. A push believes the hint only if the store still has the manifest and a sample of the objects;
``--recheck`` ignores it.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from snapdir.disk.run_folder import replace_note
from snapdir.hashing.crc32c import crc32c_of_blocks
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import KNOWN
from snapdir.model.manifest import Manifest

DIGEST_BYTES = 32
LENGTH_BYTES, CRC_BYTES = 8, 4
SEAL_BYTES = DIGEST_BYTES - LENGTH_BYTES - CRC_BYTES
MAX_SNAPSHOTS = 4
"""The latest of each store: the next push resembles the last one, and each hint costs one request to confirm."""


class KnownObjects:
    """The objects of one snapshot. A membership test takes about 3 µs and no memory, for any number of objects.

    Args:
        data: Their digests in order, and one more record, which is ignored.
    """

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data

    @classmethod
    def of(cls, digests: Iterable[str]) -> KnownObjects:
        """Objects by their digests, in any order and with repeats. Memory: 100 bytes for each digest."""
        return cls(_sorted_digests(digests) + bytes(DIGEST_BYTES))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownObjects) and self._data[:-DIGEST_BYTES] == other._data[:-DIGEST_BYTES]

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._data) // DIGEST_BYTES - 1

    def __getitem__(self, index: int) -> bytes:
        return self._data[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]

    def __contains__(self, digest: str) -> bool:
        record = bytes.fromhex(digest)
        index = bisect_left(self, record)
        return index < len(self) and self[index] == record


class KnownSnapshot(NamedTuple):
    """One hint: a snapshot that was complete, its objects, and its manifest's length in bytes and CRC32C."""

    snapshot_id: SnapshotId
    objects: KnownObjects
    manifest_bytes: int
    manifest_crc32c: int


class KnownSnapshots:
    """The hints about one store.

    Args:
        cache_dir: The cache they are kept in.
        store_url: Names the store. (If another endpoint has the same name, its manifests differ.)
    """

    def __init__(self, cache_dir: Path, store_url: str) -> None:
        self._cache_dir = cache_dir
        self._folder = cache_dir / KNOWN / blake3(store_url.encode(errors="surrogateescape")).hexdigest()[:32]

    def latest(self) -> Iterator[SnapshotId]:
        """Ids of the snapshots seen in this store, the latest first."""
        try:
            with os.scandir(self._folder) as entries:
                newest_first = sorted(entries, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        except OSError:
            return
        for entry in newest_first:
            if len(entry.name) == 2 * DIGEST_BYTES:
                yield SnapshotId(entry.name)

    def read(self, snapshot_id: SnapshotId) -> KnownSnapshot | None:
        """One hint; None if it is missing or damaged. Hashes all of it: 10 ms for a million objects."""
        try:
            with (self._folder / snapshot_id).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size == 0 or size % DIGEST_BYTES:
                    return None
                data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except OSError:
            return None
        with memoryview(data)[:-SEAL_BYTES] as sealed:
            if _seal(sealed) != data[-SEAL_BYTES:]:
                return None
        last = data[-DIGEST_BYTES:]
        length, crc = last[:LENGTH_BYTES], last[LENGTH_BYTES : LENGTH_BYTES + CRC_BYTES]
        return KnownSnapshot(snapshot_id, KnownObjects(data), int.from_bytes(length, "big"), int.from_bytes(crc, "big"))

    def remember(self, snapshot_id: SnapshotId, digests: Iterable[str], manifest: Manifest) -> None:
        """Note that the store has all of a snapshot, and keep only the latest notes. Errors are ignored."""
        data = _sorted_digests(digests) + manifest.stored_bytes.to_bytes(LENGTH_BYTES, "big")
        data += crc32c_of_blocks(manifest.blocks()).to_bytes(CRC_BYTES, "big")
        data += _seal(data)
        with suppress(OSError):
            replace_note(self._cache_dir, self._folder / snapshot_id, data, fsync=False)
            for old in list(self.latest())[MAX_SNAPSHOTS:]:
                (self._folder / old).unlink(missing_ok=True)

    def forget(self) -> None:
        """Drop every hint about this store."""
        for snapshot_id in list(self.latest()):
            with suppress(OSError):
                (self._folder / snapshot_id).unlink()


def _sorted_digests(digests: Iterable[str]) -> bytes:
    """The records in order, without repeats: sorted in 256 parts, because a million objects would take 130 MiB."""
    parts = [bytearray() for _ in range(256)]
    for digest in digests:
        record = bytes.fromhex(digest)
        parts[record[0]] += record
    ordered = bytearray()
    for part in parts:
        records = {bytes(part[start : start + DIGEST_BYTES]) for start in range(0, len(part), DIGEST_BYTES)}
        ordered += b"".join(sorted(records))
    return bytes(ordered)


def _seal(data: bytes | memoryview) -> bytes:
    return blake3(data).digest()[:SEAL_BYTES]
