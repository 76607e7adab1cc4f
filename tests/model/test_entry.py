"""One line of a manifest: parsing, and which values are trusted."""

from __future__ import annotations

import pytest

from snapdir.errors import InvalidId, LocalError
from snapdir.model.digest import EMPTY_DIGEST
from snapdir.model.entry import DIRECTORY, FILE, Entry, PathType, permission_bits

CHECKSUM = "0A" * 32


def entry(kind: str = FILE, mode: str = "644", checksum: str = CHECKSUM, size: int = 4) -> Entry:
    return Entry(kind, mode, checksum, size, "./x")


def test_an_entry_is_a_file_or_a_directory() -> None:
    assert entry(FILE).is_file
    assert not entry(DIRECTORY).is_file
    assert str(entry(FILE).path_type) == "File"
    assert repr(entry(DIRECTORY).path_type) == "PathType.Directory"
    assert [PathType(kind) for kind in "FD"] == [PathType.File, PathType.Directory]


def test_its_line_has_its_text_as_it_was() -> None:
    assert entry(mode="0644").line == f"F 0644 {CHECKSUM} 4 ./x"


@pytest.mark.parametrize(
    ("text", "bits"),
    [("644", 0o644), ("0", 0), ("7777", 0o7777), ("+755", 0o755), ("104755", 0o4755), ("0000000001", 1)],
)
def test_a_mode_is_the_low_twelve_bits_of_octal_text(text: str, bits: int) -> None:
    assert permission_bits(text) == bits
    assert entry(mode=text).permissions == bits


@pytest.mark.parametrize("text", ["", "+", "8", "-1", "++1", "0x1", "6 4", "٣"])
def test_a_mode_that_is_not_octal_is_refused_and_names_its_path(text: str) -> None:
    with pytest.raises(LocalError, match="invalid permissions") as caught:
        entry(mode=text).permissions  # noqa: B018
    assert "./x" in caught.value.__notes__[0]


def test_a_checksum_is_an_address_or_says_that_it_is_none() -> None:
    assert entry().digest == CHECKSUM.lower()
    with pytest.raises(InvalidId, match=r"\./x"):
        entry(checksum="0a" * 16).digest  # noqa: B018


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (entry(), 4),
        (entry(size=0, checksum=EMPTY_DIGEST), 0),
        (entry(size=0), None),  # a file of /proc
        (entry(mode="777"), None),  # a followed link
        (entry(mode="777", size=0, checksum=EMPTY_DIGEST), None),
        (entry(mode="0777"), 4),
        (entry(size=1, checksum=EMPTY_DIGEST), 1),
    ],
)
def test_a_size_is_certain_where_the_format_makes_it_so(given: Entry, size: int | None) -> None:
    assert given.certain_size == size
