"""Checksums of directories and the id of a snapshot."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from snapdir.hashing.hasher import HasherFactory
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.manifest import Manifest


def manifest_id(manifest: Manifest) -> SnapshotId:
    """Plain BLAKE3 of the stored text: 0.3 ms per MiB."""
    return text_id(manifest.blocks())


def text_id(stored: Iterable[bytes]) -> SnapshotId:
    """The id of a manifest by its stored text, in blocks."""
    hasher = blake3()
    for block in stored:
        hasher.update(block)
    return SnapshotId(hasher.hexdigest())


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """The address of ``data``."""
    return Digest(blake3(data).hexdigest())


def directory_checksum(child_checksums: Iterable[str], new_hasher: HasherFactory = blake3) -> str:
    """Hash of the children's checksum texts: sorted, without repeats, concatenated. Names and modes do not enter."""
    return new_hasher("".join(sorted(set(child_checksums))).encode()).hexdigest()
