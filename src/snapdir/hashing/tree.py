"""Checksums of directories and the id of a snapshot."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from snapdir.hashing.hasher import HasherFactory
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.entry import DIRECTORY, Entry
from snapdir.model.manifest import Manifest


def manifest_id(manifest: Manifest) -> SnapshotId:
    """Plain BLAKE3 of the stored text: 0.3 ms per MiB."""
    hasher = blake3()
    for block in manifest.blocks():
        hasher.update(block)
    return SnapshotId(hasher.hexdigest())


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """The address of ``data``."""
    return Digest(blake3(data).hexdigest())


def directory_checksum(child_checksums: Iterable[str], new_hasher: HasherFactory = blake3) -> str:
    """Hash of the children's checksum texts: sorted, without repeats, concatenated. Names and modes do not enter."""
    return new_hasher("".join(sorted(set(child_checksums))).encode()).hexdigest()


def with_directories(
    files: Iterable[Entry], directory_modes: dict[str, str], new_hasher: HasherFactory = blake3
) -> list[Entry]:
    """``files`` and one entry for every directory, with checksums and sizes computed from the leaves up.

    Args:
        files: File entries whose parent directories are all keys of ``directory_modes``.
        directory_modes: Octal mode by path; paths end in ``/`` and the root is among them.
    """
    checksums: dict[str, set[str]] = {path: set() for path in directory_modes}
    sizes = dict.fromkeys(directory_modes, 0)
    entries = list(files)
    for _, _, checksum, size, path in entries:
        parent = path[: path.rindex("/") + 1]
        checksums[parent].add(checksum)
        sizes[parent] += size
    # A child's path is longer than its parent's, so this order meets every child before its parent.
    for path in sorted(directory_modes, key=len, reverse=True):
        checksum = directory_checksum(checksums.pop(path), new_hasher)
        entries.append(Entry(DIRECTORY, directory_modes[path], checksum, sizes[path], path))
        parent = path[: path.rindex("/", 0, len(path) - 1) + 1] if path.count("/") > 1 else ""
        if parent in checksums:
            checksums[parent].add(checksum)
            sizes[parent] += sizes[path]
    return entries
