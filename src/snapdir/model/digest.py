"""The name of some content: 64 lowercase hexadecimal digits of BLAKE3-256."""

from __future__ import annotations

import re

from snapdir.errors import InvalidId

__all__ = ["EMPTY_DIGEST", "Digest", "SnapshotId"]

_HEX64 = re.compile(r"[0-9a-fA-F]{64}").fullmatch


class Digest(str):
    """64 lowercase hex digits. Upper case is accepted and lowered.

    Raises:
        InvalidId: the text is anything else.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if not _HEX64(text):
            raise InvalidId(str(text))
        return str.__new__(cls, text.lower())

    def __repr__(self) -> str:
        return f'{type(self).__name__}("{self}")'


class SnapshotId(Digest):
    """The id of a snapshot: the digest of its manifest's stored text."""

    __slots__ = ()


EMPTY_DIGEST = Digest("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
"""BLAKE3 of no bytes: every empty file and every empty directory."""
