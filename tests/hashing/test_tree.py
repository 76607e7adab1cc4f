"""Checksums and sizes of directories, compared with a direct implementation of the format."""

from __future__ import annotations

from blake3 import blake3

from snapdir.hashing.hasher import hasher_factory
from snapdir.hashing.tree import digest_of, directory_checksum, manifest_id
from snapdir.model.digest import EMPTY_DIGEST
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest


def test_an_empty_directory_has_the_digest_of_no_bytes() -> None:
    assert directory_checksum([]) == EMPTY_DIGEST
    assert directory_checksum([], hasher_factory("md5sum")) == "d41d8cd98f00b204e9800998ecf8427e"


def test_an_id_hashes_the_stored_text() -> None:
    manifest = Manifest([Entry("F", "644", "0" * 64, 1, "./x")])
    assert manifest_id(manifest) == blake3(b"F 644 " + b"0" * 64 + b" 1 ./x\n").hexdigest()
    assert digest_of(b"") == EMPTY_DIGEST
