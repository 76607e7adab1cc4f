"""The hash of a manifest's checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from blake3 import blake3

from snapdir.errors import SnapdirError


class Hasher(Protocol):
    """The methods of hashlib's objects that hash a stream."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


HasherFactory = Callable[..., Hasher]
"""Called with no argument or with the first bytes."""


def hasher_factory(checksum_bin: str = "b3sum", keyed_context: str = "") -> HasherFactory:
    """The factory for ``--checksum-bin``; a context selects BLAKE3's derive-key mode and needs ``b3sum``.

    Raises:
        SnapdirError: an unknown name.
    """
    if checksum_bin == "b3sum":
        return _keyed(keyed_context) if keyed_context else blake3
    if checksum_bin in ("md5sum", "sha256sum"):
        # MD5 only names content here, as in the format's oldest manifests; it addresses nothing.
        return hashlib.sha256 if checksum_bin == "sha256sum" else _md5
    raise SnapdirError(f"unsupported --checksum-bin '{checksum_bin}': choose b3sum, md5sum or sha256sum")


def _md5(data: bytes = b"") -> Hasher:
    return hashlib.md5(data, usedforsecurity=False)


def _keyed(context: str) -> HasherFactory:
    def keyed(data: bytes = b"") -> Hasher:
        return blake3(data, derive_key_context=context)

    return keyed
