"""Which snapshots this machine has seen complete in which store: a hint that spares a push its look-ups. Blocking.

One file a snapshot below ``<cache>/.known/<store>/``, named by the snapshot's id: the sorted 32-byte digests of its
objects. It is only ever a hint: a push believes it after the store has shown that it still has the manifest, and
``--recheck`` ignores it.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from snapdir.model.digest import SnapshotId

__all__ = ["KNOWN_NAME", "KnownObjects", "KnownSnapshots"]

KNOWN_NAME = ".known"
DIGEST_BYTES = 32
MAX_SNAPSHOTS = 4
"""Kept for each store, the latest: the next push is most like the last one, and each costs one request to confirm."""


class KnownObjects:
    """The objects of one snapshot; a membership test takes about 3 µs and no memory, whatever their number."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data) // DIGEST_BYTES

    def __getitem__(self, index: int) -> bytes:
        return self._data[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]

    def __contains__(self, digest: str) -> bool:
        wanted = bytes.fromhex(digest)
        index = bisect_left(self, wanted)
        return index < len(self) and self[index] == wanted


class KnownSnapshots:
    """The hints about one store.

    Args:
        cache_dir: The cache they are kept in.
        store_url: Names the store; another endpoint under the same name is told apart by the look at its manifest.
    """

    def __init__(self, cache_dir: Path, store_url: str) -> None:
        self._folder = cache_dir / KNOWN_NAME / blake3(os.fsencode(store_url)).hexdigest()[:32]

    def latest(self) -> Iterator[SnapshotId]:
        """Ids of the snapshots seen in this store, the latest first."""
        try:
            with os.scandir(self._folder) as entries:
                found = sorted(entries, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        except OSError:
            return  # no hint
        for entry in found:
            if len(entry.name) == 2 * DIGEST_BYTES:
                yield SnapshotId(entry.name)

    def objects(self, snapshot_id: SnapshotId) -> KnownObjects:
        """The objects of a snapshot; none if the hint is gone or torn."""
        try:
            with (self._folder / snapshot_id).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size == 0 or size % DIGEST_BYTES:
                    return KnownObjects(b"")
                return KnownObjects(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
        except OSError:
            return KnownObjects(b"")

    def remember(self, snapshot_id: SnapshotId, digests: Iterable[str]) -> None:
        """Note that the store has all of a snapshot, and forget all but the latest. What cannot be written is lost."""
        data = b"".join(sorted({bytes.fromhex(digest) for digest in digests}))
        temporary = self._folder / f"{os.urandom(8).hex()}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(self._folder / snapshot_id)
            for old in list(self.latest())[MAX_SNAPSHOTS:]:
                (self._folder / old).unlink(missing_ok=True)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
