"""A digest is 64 hexadecimal digits in lower case, and some of its first digits may stand for it."""

from __future__ import annotations

import pytest
from blake3 import blake3

from snapdir.errors import InvalidId
from snapdir.model.digest import EMPTY_DIGEST, Digest, SnapshotId, id_prefix, is_hexadecimal


def test_upper_case_is_lowered() -> None:
    assert Digest("AB" * 32) == "ab" * 32
    assert repr(SnapshotId("AB" * 32)) == f'SnapshotId("{"ab" * 32}")'


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n", "٣" * 64])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        Digest(text)


def test_the_empty_digest_is_that_of_no_bytes() -> None:
    assert blake3(b"").hexdigest() == EMPTY_DIGEST


@pytest.mark.parametrize("digits", ["0123ABCD", "0" * 63, "F" * 64])
def test_eight_digits_or_more_may_stand_for_an_id(digits: str) -> None:
    assert is_hexadecimal(digits)
    assert id_prefix(digits) == digits.lower()


@pytest.mark.parametrize("digits", ["", "0123abc", "0" * 65, "0123abcx", "0123 abcd"])
def test_fewer_more_and_other_digits_stand_for_none(digits: str) -> None:
    with pytest.raises(InvalidId):
        id_prefix(digits)
