"""The manifest's text: parsing and formatting are inverse, and order does not matter."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import example, given
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


sizes = st.one_of(
    st.integers(0, 2**64).map(str), st.sampled_from(["+5", "05", "00", "-1", "9" * 19, "9" * 20, "", "x", "٤"])
)
fields = st.sampled_from(["a", "644", "", " ", "é", "\r", "\t"])
lines = st.one_of(
    entries.map(lambda entry: entry.line),
    st.tuples(st.sampled_from(["F", "D", "f", "#F", " F", ""]), fields, fields, sizes, names).map(" ".join),
    st.sampled_from(
        ["", "\r", "#", "# comment", "F 644 aa 4 ./x", "F 644 aa 4 ./x\r", "F 644 aa 4 ./x y", "D 7 b 1 ./x/"]
    ),
)


def outcome(text: str | bytes) -> tuple[Entry, ...] | str:
    try:
        return Manifest.parse(text).entries
    except InvalidManifest as error:
        return error.reason


@given(st.one_of(st.lists(lines), st.lists(entries).map(lambda items: Manifest(items).raw.split("\n"))), st.booleans())
@example(["F 644 aa 4 ./x", "F 644 aa 4 ./x"], True)
@example(["F 644 aa 4 ./y", "F 644 aa 4 ./x"], True)
@example(["F 644 aa 4 ./x\r"], False)
def test_a_canonical_text_is_read_as_any_other(parts: list[str], ends: bool) -> None:
    text = "\n".join([*parts, ""] if ends else parts)
    read_line_by_line = outcome("# a comment is not canonical\n" + text)
    assert outcome(text) == outcome(text.encode()) == read_line_by_line
    if not isinstance(read_line_by_line, str):
        assert Manifest.parse(text).entries == Manifest(read_line_by_line).entries
        assert Manifest.parse(text).stored == Manifest(read_line_by_line).stored


def test_copies_are_equal_and_have_the_same_hash() -> None:
    manifest = Manifest.parse("F 644 aa 4 ./x\r\nD 755 bb 4 ./\n")
    pickled = pickle.loads(pickle.dumps(manifest))  # noqa: S301  # our own
    for again in (pickled, copy.copy(manifest), copy.deepcopy(manifest)):
        assert (again, hash(again)) == (manifest, hash(manifest))
    other = Manifest.parse("F 644 aa 5 ./x\nD 755 bb 4 ./\n")
    assert other != manifest
    assert hash(other) != hash(manifest)


@pytest.mark.parametrize("path", ["./a\nb", "./\ud800"])
def test_an_entry_that_cannot_be_a_line_is_refused(path: str) -> None:
    with pytest.raises(InvalidManifest):
        Manifest([Entry("F", "644", "aa", 1, path)])
    with pytest.raises(InvalidManifest, match="UTF-8"):
        Manifest.parse("F 644 aa 1 ./\ud800\n")


@given(st.lists(entries))
def test_sorted_entries_make_the_same_manifest_and_files_are_counted(items: list[Entry]) -> None:
    manifest = Manifest(items)
    assert Manifest.in_order(manifest.entries) == manifest
    assert manifest.totals() == (len(list(manifest.files)), sum(entry.size for entry in manifest.files))


@given(st.lists(entries))
def test_files_and_directories_are_told_apart(items: list[Entry]) -> None:
    manifest = Manifest(items)
    assert list(manifest.files) == [entry for entry in manifest.entries if entry.kind == "F"]
    assert list(manifest.directories) == [entry for entry in manifest.entries if entry.kind == "D"]


def test_the_stored_text_ends_in_one_newline() -> None:
    manifest = Manifest([Entry("F", "644", "aa", 4, "./y"), Entry("D", "755", "bb", 4, "./")])
    assert manifest.stored == b"D 755 bb 4 ./\nF 644 aa 4 ./y\n"
    assert Manifest([]).stored == b"\n"
    assert b"".join(Manifest([]).blocks()) == b"\n"
    assert (len(manifest), manifest.stored_bytes, Manifest([]).stored_bytes) == (2, 29, 1)
    assert repr(manifest) == "Manifest(entries=2, raw_len=28)"
    assert manifest != manifest.raw


def test_the_largest_size_is_read_and_long_text_is_cut() -> None:
    assert Manifest.parse(f"F 644 aa {2**64 - 1} ./x").entries[0].size == 2**64 - 1
    assert Manifest.parse("F 644 aa " + "0" * 1000 + "4 ./x").entries[0].size == 4
    with pytest.raises(InvalidManifest) as caught:
        Manifest.parse("x" * 501)
    assert "x" * 500 + '"…' in str(caught.value)
    with pytest.raises(InvalidManifest) as caught:
        Manifest.parse("x" * 500)
    assert "…" not in str(caught.value)


def test_control_characters_of_a_broken_line_are_escaped() -> None:
    with pytest.raises(InvalidManifest, match=r'"\\t\\u\{1b\}\\\\\\""'):
        Manifest.parse('\t\x1b\\"')
