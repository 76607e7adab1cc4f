"""CRC32C has the right values with every implementation and for any pieces."""

from __future__ import annotations

import base64
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.hashing.crc32c import BLOCK_BYTES, crc32c, crc32c_of_range

POLYNOMIAL = 0x82F63B78  # reflected


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ POLYNOMIAL * (value & 1)
        table.append(value)
    return table


TABLE = _table()


def slow_crc32c(data: bytes, value: int = 0) -> int:
    """The definition, one byte at a time."""
    value ^= 0xFFFFFFFF
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, B.4, and the usual check value
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_known_values(data: bytes, expected: int) -> None:
    assert crc32c(data) == slow_crc32c(data) == expected


@given(st.binary(max_size=3000))
def test_it_is_what_the_book_says(data: bytes) -> None:
    assert crc32c(data) == slow_crc32c(data)
    assert crc32c(memoryview(bytearray(data))) == crc32c(data)


@given(st.binary(max_size=500), st.integers(0, 0xFFFFFFFF))
def test_it_goes_on_from_any_value(data: bytes, value: int) -> None:
    assert crc32c(data, value) == slow_crc32c(data, value)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_pieces_give_what_the_whole_gives(pieces: list[bytes]) -> None:
    value = 0
    for piece in pieces:
        value = crc32c(piece, value)
    assert value == crc32c(b"".join(pieces))


@given(st.binary(min_size=1, max_size=300), st.data())
def test_no_single_bit_goes_unnoticed(data: bytes, draw: st.DataObject) -> None:
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    assert crc32c(damaged) != crc32c(data)


def test_the_header_of_s3_is_its_four_bytes_in_base64() -> None:
    assert base64.b64encode(crc32c(b"123456789").to_bytes(4, "big")) == b"4waSgw=="


def test_a_range_of_a_file_is_summed_as_far_as_there_is_one() -> None:
    content = bytes(range(256)) * (BLOCK_BYTES // 128)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        descriptor = file.fileno()
        for offset, length in ((0, len(content)), (7, BLOCK_BYTES + 1), (len(content) - 3, 3), (5, 0)):
            expected = crc32c(content[offset : offset + length])
            assert crc32c_of_range(descriptor, offset, length) == (expected, length)
        assert crc32c_of_range(descriptor, len(content) - 3, 10) == (crc32c(content[-3:]), 3)
