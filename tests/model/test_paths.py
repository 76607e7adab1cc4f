"""Which paths of a manifest may be written below a destination, and what is above them."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import UnsafePath
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest
from snapdir.model.paths import (
    STAGING_NAME,
    check_materialisable,
    flaw_of_name,
    is_temporary_beside,
    path_components,
    with_parents,
)

LONGEST = "./" + "/".join(["a" * 254] * 16) + "/" + "a" * 16  # 4,096 characters behind the ./
names = st.text("ab.\\: é", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))


def file(path: str, checksum: str = "0" * 64) -> Entry:
    return Entry("F", "644", checksum, 1, path)


def directory(path: str, mode: str = "755") -> Entry:
    return Entry("D", mode, "0" * 64, 1, path)


@given(st.lists(names, min_size=1, max_size=4), st.sampled_from(["", "/"]))
def test_a_path_is_its_names(parts: list[str], end: str) -> None:
    assert path_components("./" + "/".join(parts) + end) == tuple(parts)


def test_the_root_has_no_names() -> None:
    assert path_components("./") == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "does not start"),
        ("x", "does not start"),
        (".//x", "empty"),
        ("./a//x", "empty"),
        ("./x//", "empty"),
        ("./../x", "component"),
        ("./a/..", "component"),
        ("./a/./x", "component"),
        ("./a\0b", "NUL"),
        ("./a\nb", "newline"),
        ("./" + "a" * 256, "longer than 255 bytes"),
        ("./" + "é" * 128, "longer than 255 bytes"),
        (LONGEST + "a", "longer than 4096 characters"),
    ],
)
def test_a_path_that_could_leave_a_destination_or_that_no_tree_has_is_refused(path: str, reason: str) -> None:
    with pytest.raises(UnsafePath, match=reason):
        path_components(path)


def test_the_longest_names_and_paths_are_taken() -> None:
    assert len(path_components(LONGEST)) == 17
    assert path_components("./" + "é" * 127 + "a") == ("é" * 127 + "a",)


@given(st.lists(st.lists(names, min_size=1, max_size=4), max_size=4))
def test_parents_go_up_to_the_root(parts: list[list[str]]) -> None:
    paths = ["./" + "/".join(one) for one in parts]
    expected = {"./"} if paths else set()
    for path in paths:
        expected |= {path, *(f"./{above}/" for above in PurePosixPath(path).parents if str(above) != ".")}
    assert with_parents(paths) == expected


def test_a_path_that_no_tree_has_has_no_parents() -> None:
    with pytest.raises(UnsafePath, match="longer"):
        with_parents([LONGEST + "a"])


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [directory("./"), directory("./a/"), file("./a/b"), file("./c")],
        [file("./a/b/c")],
        [file("./a"), file("./a")],
        [file("./ab"), directory("./a/")],
        [file(f"./a/{STAGING_NAME}"), file(f"./{STAGING_NAME}s")],
    ],
)
def test_one_tree_is_accepted(entries: list[Entry]) -> None:
    check_materialisable(Manifest(entries))
    check_materialisable(Manifest(reversed(entries)))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([file("./a"), file("./a", "1" * 64)], "twice"),
        ([directory("./a/"), directory("./a/", "700")], "twice"),
        ([directory("./a"), directory("./a/", "700")], "twice"),
        ([file("./a"), directory("./a/")], "a file and a directory"),
        ([file("./a"), file("./a/b")], "a file and a directory"),
        ([file("./a"), file("./a/b/c/d")], "a file and a directory"),
        ([file("./a"), directory("./a/b/")], "a file and a directory"),
        ([file("./")], "path of a directory"),
        ([file("./a/")], "path of a directory"),
        ([file("../a")], "does not start"),
        ([file(f"./{STAGING_NAME}")], "temporary files"),
        ([directory(f"./{STAGING_NAME}/")], "temporary files"),
        ([file("./a"), file(f"./{STAGING_NAME}/a/b")], "temporary files"),
    ],
)
def test_what_is_not_one_tree_is_refused_in_any_order(entries: list[Entry], reason: str) -> None:
    for order in (entries, entries[::-1]):
        with pytest.raises(UnsafePath, match=reason):
            check_materialisable(Manifest(order))


paths = st.lists(st.sampled_from(["a", "a!", "ab", "b"]), min_size=1, max_size=3).map("/".join)
trees = st.lists(
    st.builds(lambda path, make: make(f"./{path}"), paths, st.sampled_from([file, lambda path: directory(path + "/")])),
    max_size=8,
)


@given(trees)
def test_exactly_one_tree_is_accepted(entries: list[Entry]) -> None:
    files = {entry.path for entry in entries if entry.is_file}
    above = with_parents(entry.path for entry in entries)
    if any(f"{path}/" in above for path in files):
        with pytest.raises(UnsafePath, match="a file and a directory"):
            check_materialisable(Manifest(entries))
    else:
        check_materialisable(Manifest(entries))


# Any bytes that a directory may hold as a name, as Python decodes them.
file_names = (
    st.one_of(st.binary(min_size=1, max_size=300), st.text("a\n\r\x85\u2028é😀 #", max_size=90).map(str.encode))
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape"))
    .filter(lambda name: name not in ("", ".", ".."))
)


@given(file_names)
def test_a_name_without_a_flaw_comes_back_from_a_manifest_and_can_be_written(name: str) -> None:
    entry = file(f"./{name}")
    if not flaw_of_name(name):
        assert Manifest.parse(Manifest([entry]).stored).entries == (entry,)
        check_materialisable([entry])


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("a\nb", "newline"),
        ("a\r", "carriage return"),
        ("a\udcff", "not valid UTF-8"),
        ("a" * 256, "longer than 255 bytes"),
        ("😀" * 64, "longer than 255 bytes"),
        ("a" * 255, ""),
        ("a\rb", ""),
    ],
)
def test_a_flaw_of_a_name_is_told(name: str, flaw: str) -> None:
    assert flaw in flaw_of_name(name)
    assert bool(flaw) == bool(flaw_of_name(name))


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (f"{STAGING_NAME}-0123456789abcdef", True),
        (f"{STAGING_NAME}-0123456789ABCDEF", False),
        (f"{STAGING_NAME}-0123456789abcde", False),
        (f"{STAGING_NAME}-0123456789abcdef0", False),
        (f"{STAGING_NAME}-0123456789abcdef\n", False),
        (STAGING_NAME, False),
    ],
)
def test_a_temporary_beside_its_target_is_known_by_its_name(name: str, is_ours: bool) -> None:
    assert is_temporary_beside(name) == is_ours
