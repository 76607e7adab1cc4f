"""The hashes a manifest may be made with."""

from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3

from snapdir.errors import SnapdirError
from snapdir.hashing.hasher import HasherFactory, hasher_factory

DATA = b"some bytes"


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (hasher_factory(), blake3(DATA).hexdigest()),
        (hasher_factory("b3sum"), blake3(DATA).hexdigest()),
        (hasher_factory("md5sum"), hashlib.md5(DATA, usedforsecurity=False).hexdigest()),
        (hasher_factory("sha256sum"), hashlib.sha256(DATA).hexdigest()),
        (hasher_factory("b3sum", "a context"), blake3(DATA, derive_key_context="a context").hexdigest()),
    ],
)
def test_each_hashes_at_once_and_piece_by_piece(factory: HasherFactory, expected: str) -> None:
    assert factory(DATA).hexdigest() == expected
    pieces = factory()
    pieces.update(DATA[:3])
    pieces.update(memoryview(DATA)[3:])
    assert pieces.hexdigest() == expected


def test_another_name_is_refused() -> None:
    with pytest.raises(SnapdirError, match=r"sha1sum.*choose b3sum, md5sum or sha256sum"):
        hasher_factory("sha1sum")
