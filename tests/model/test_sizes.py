"""Sizes and rates as people write them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapdir.errors import InvalidOption
from snapdir.model.sizes import GIB, KIB, MIB, format_size, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("1.5M", MIB * 3 // 2),
        ("10mb", 10 * MIB),
        ("2KiB", 2 * KIB),
        (" 1G ", GIB),
        (".5k", 512),
        ("1TiB", 2**40),
        ("3P", 3 * 2**50),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "10X", "1.2.3", "1e3", "K", "٣"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(InvalidOption, match="--memory"):
        parse_size(text, option="--memory")


def test_a_rate_of_zero_is_no_limit() -> None:
    assert parse_rate("0") is None


@pytest.mark.parametrize("text", ["", "-1", "10X", "1.2.3"])
def test_a_bad_rate_shows_good_ones(text: str) -> None:
    with pytest.raises(InvalidOption, match="10M, 512K or 1G"):
        parse_rate(text)


@example(1024**5 - 3)
@given(st.integers(0, 2**64))
def test_a_formatted_size_is_short_and_reads_back_within_a_percent(size: int) -> None:
    text = format_size(size)
    assert len(text) <= 10
    assert parse_size(text) == pytest.approx(size, rel=0.01)
