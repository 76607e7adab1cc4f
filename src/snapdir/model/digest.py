"""Digests: 64 lowercase hexadecimal digits of BLAKE3-256 name some content."""

from __future__ import annotations

import re

from snapdir.errors import InvalidId

ID_DIGITS = 64
SHORT_ID_DIGITS = 12
"""Shown in tables and drawings."""

MIN_DIGITS = 8
"""Enough digits for an id: of 8,600 stores with a thousand snapshots each, one has two that share 8 (arithmetic)."""

_HEX64 = re.compile(r"[0-9a-fA-F]{64}").fullmatch
_HEX = re.compile(r"[0-9a-fA-F]+").fullmatch


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


def packed(checksum: str) -> bytes | str:
    """A key for a checksum in half its memory, for sets and dictionaries: 64 hex digits as 32 bytes.

    Any other text, of a manifest made with another hash, is its own key.
    """
    return bytes.fromhex(checksum) if _HEX64(checksum) else checksum


def is_hexadecimal(text: str) -> bool:
    return bool(_HEX(text))


def id_prefix(text: str) -> str:
    """The first digits of an id, in lower case.

    Raises:
        InvalidId: not hexadecimal, fewer than MIN_DIGITS digits, or more than an id has.
    """
    if not is_hexadecimal(text) or not MIN_DIGITS <= len(text) <= ID_DIGITS:
        raise InvalidId(text, f"is not {ID_DIGITS} hexadecimal digits, nor the first {MIN_DIGITS} or more of them")
    return text.lower()
