"""What may be a name, and the text of a tag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidId, InvalidTag
from snapdir.model.digest import is_hexadecimal
from snapdir.model.tags import MAX_TAG_BYTES, Tag, checked_name, is_name, parse_tag

ids = st.text("0123456789abcdef", min_size=64, max_size=64)
parts = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,9}", fullmatch=True)
names = (
    st.lists(parts, min_size=1, max_size=5)
    .map("/".join)
    .filter(lambda name: not is_hexadecimal(name) and name != "latest")
)
tags = st.builds(
    Tag,
    name=names,
    id=st.none() | ids,
    sequence=st.integers(1, 9_999_999_999),
    previous=st.none() | ids,
    created_at=st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S.123").rjust(23, "0")),
    by=st.text([chr(code) for code in range(33, 127)], min_size=1, max_size=512),
    token=st.text("0123456789abcdef", min_size=32, max_size=32),
)
TAG = Tag("v1", "ab" * 32, 7, None, "2026-11-30 12:00:00.000", "user@host", "0" * 32)


@given(names)
def test_letters_digits_and_four_characters_make_a_name(name: str) -> None:
    assert checked_name(name) == name
    assert is_name(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "has 0 characters"),
        ("x" * 256, "has 256 characters"),
        ("x" * 300, "has 300 characters"),
        ("a b", "other characters"),
        ("a\nb", "other characters"),
        ("naïve", "other characters"),
        ("a@b", "other characters"),
        ("a\0b", "other characters"),
        ("-v", "begins with -"),
        ("/v", "an empty part"),
        ("v/", "an empty part"),
        ("a//b", "an empty part"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        ("a/../b", "begins with a dot"),
        (".log/x", "begins with a dot"),
        ("cafe", "hexadecimal digits only"),
        ("2026", "hexadecimal digits only"),
        ("AB" * 32, "hexadecimal digits only"),
        ("latest", "is reserved"),
    ],
)
def test_anything_else_is_told_why_not(name: str, why: str) -> None:
    with pytest.raises(InvalidId, match=why) as failed:
        checked_name(name)
    assert str(failed.value).startswith("invalid name: ")
    assert is_name(name) is (name == "latest")


def test_the_longest_name_is_one() -> None:
    assert checked_name("x" * 255)


@given(tags)
def test_a_tag_is_what_its_text_says(tag: Tag) -> None:
    assert len(tag.stored) <= MAX_TAG_BYTES
    assert parse_tag(tag.name, tag.stored, "here") == tag


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"garbage",
        b"\xff" * 100,
        b"snapdir-ref 1\n",
        TAG.stored[:-1],
        TAG.stored + b"\n",
        TAG.stored + b"more x\n",
        TAG.stored.replace(b"ref 1", b"ref 2"),
        TAG.stored.replace(b"sequence 7", b"sequence 0"),
        TAG.stored.replace(b"sequence 7", b"sequence " + b"9" * 5000),
        TAG.stored.replace(b"ab" * 32, b"AB" * 32),
        TAG.stored.replace(b"user@host", b"user host"),
        TAG.stored.replace(b"user@host", b"u" * (1 << 20)),
        TAG.stored.replace(b"\n", b"\r\n"),
    ],
)
def test_any_other_text_is_garbage(stored: bytes) -> None:
    with pytest.raises(InvalidTag, match=r"'v1' cannot be read: s3://b/\.refs/v1 is not the text of a name"):
        parse_tag("v1", stored, "s3://b/.refs/v1")


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_fail_otherwise(stored: bytes) -> None:
    with pytest.raises(InvalidTag):
        parse_tag("v1", stored, "here")
