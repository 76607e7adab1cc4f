"""The manifest's text: parsing and formatting are inverse, and order does not matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidManifest
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest

names = st.text(st.characters(blacklist_characters="\n\r/\0", blacklist_categories=("Cs",)), min_size=1)
entries = st.builds(
    Entry,
    kind=st.sampled_from("FD"),
    mode=st.integers(0, 0o7777).map(lambda mode: f"{mode:o}"),
    checksum=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size=st.integers(0, 2**64 - 1),
    path=names.map(lambda name: f"./{name}"),
)


@given(st.lists(entries))
def test_what_is_formatted_parses_to_the_same(items: list[Entry]) -> None:
    manifest = Manifest(items)
    assert Manifest.parse(manifest.stored) == manifest


@given(st.lists(entries, unique_by=lambda entry: entry.path), st.randoms())
def test_the_order_of_entries_does_not_matter(items: list[Entry], random) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert Manifest(shuffled).raw == Manifest(items).raw


@given(st.lists(names, unique=True))
def test_paths_sort_as_their_utf8_bytes(paths: list[str]) -> None:
    manifest = Manifest(Entry("F", "644", "0" * 64, 0, path) for path in paths)
    assert [entry.path for entry in manifest.entries] == sorted(paths, key=str.encode)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("F 644 aa 1", "malformed"),
        ("F  644 aa 1 ./x", "malformed"),
        ("F\t644\taa\t1\t./x", "malformed"),
        ("f 644 aa 1 ./x", "invalid path type"),
        ("\ufeffF 644 aa 1 ./x", r"invalid path type \"\\u{feff}F\""),
        ("F 644 aa -1 ./x", "invalid size"),
        ("F 644 aa 4.0 ./x", "invalid size"),
        ("F 644 aa ٤ ./x", "invalid size"),
        (f"F 644 aa {2**64} ./x", "invalid size"),
        ("F 644 aa " + "9" * 100_000 + " ./x", "invalid size"),
        ("   ", "malformed"),
    ],
)
def test_a_broken_line_is_quoted(text: str, reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason) as caught:
        Manifest.parse(text)
    assert len(str(caught.value)) < 1000


def test_comments_empty_lines_and_crlf_are_read() -> None:
    assert Manifest.parse("# made by hand\r\n\r\nF 644 aa +04 ./x\r\n").raw == "F 644 aa 4 ./x"


def test_only_newlines_separate_lines() -> None:
    assert len(Manifest.parse("F 644 aa 4 ./x\u2028y\x0bz\x85\n").entries) == 1


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InvalidManifest, match="UTF-8"):
        Manifest.parse(b"F 644 aa 4 ./\xff\n")
