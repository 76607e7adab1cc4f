"""Excludes: the reference's dialect, and patterns relative to the tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.cli.options import exclusions
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.model.patterns import exactly, exclusion, expand_macros


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        (r"\.tmp$", "/w/t/a.tmp", True),
        (r"\.tmp$", "/w/t/a.tmp2", False),
        ("/w/", "/w/t/a", True),
        ("(?i)README", "/w/t/readme", True),
        ("/sub/", "/w/t/sub", False),
    ],
)
def test_a_pattern_is_searched_in_the_absolute_path(pattern: str, path: str, left_out: bool) -> None:
    excluded = exclusion([pattern])
    assert excluded is not None
    assert excluded(path, "./" + path.removeprefix("/w/t/")) is left_out


def test_a_pattern_that_starts_with_dot_slash_sees_only_the_tree() -> None:
    excluded = exclusion(["./data"])
    assert excluded is not None
    assert excluded("/anywhere/data", "./data")
    assert not excluded("/data/tree/x", "./x")
    assert not excluded("/t/sub/data", "./sub/data")


def test_patterns_are_combined_by_or() -> None:
    excluded = exclusion(["a$", "b$", "./c$"])
    assert excluded is not None
    assert [excluded("/t/" + name, "./" + name) for name in "abcd"] == [True, True, True, False]


def test_no_pattern_is_no_test() -> None:
    assert exclusion([]) is None


@pytest.mark.parametrize("pattern", ["(", r"(?=x)", r"(a)\1", "./("])
def test_a_bad_pattern_is_named(pattern: str) -> None:
    with pytest.raises(SnapdirError, match="invalid exclude pattern") as caught:
        exclusion(["good", pattern])
    assert pattern in str(caught.value)


def test_macros_are_expanded_anywhere() -> None:
    text, no_follow = expand_macros("x%common%y", home="/home/me", cache_dir="/c")
    assert ".git" in text
    assert text.startswith("x(")
    assert not no_follow
    text, no_follow = expand_macros("%system%", home="/home/me", cache_dir="/c")
    assert "|/home/me/.cache/|/c" in text
    assert no_follow


def test_a_pattern_that_would_take_ages_elsewhere_takes_none() -> None:
    excluded = exclusion(["(a+)+$"])
    assert excluded is not None
    assert not excluded("/t/" + "a" * 50_000 + "!", "./x")


paths = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0\n"), min_size=1), min_size=1, max_size=3
)


@given(paths, paths)
def test_the_pattern_of_one_path_fits_that_and_nothing_else(names: list[str], other_names: list[str]) -> None:
    path, other = "./" + "/".join(names), "./" + "/".join(other_names)
    typed, _ = exclusions([exactly(path)], no_follow=False, config=Config())
    excluded = exclusion(typed)
    assert excluded is not None
    assert excluded("/t" + path[1:], path)
    for different in {other, f"{path}x", f"./x{path[1:]}", f"{path}/x"} - {path}:
        assert not excluded("/t" + different[1:], different)


def test_the_pattern_of_a_database_fits_the_files_beside_it() -> None:
    excluded = exclusion([exactly("./a/history.db", beside="(-shm|-wal)?")])
    assert excluded is not None
    fitting = [name for name in ("", "-shm", "-wal", "-old", "x") if excluded("/", f"./a/history.db{name}")]
    assert fitting == ["", "-shm", "-wal"]


@pytest.mark.parametrize("typed", ["%common%", "%system%", "a%common%b"])
def test_a_macro_is_named_as_it_was_typed(typed: str) -> None:
    pattern, _ = expand_macros(f"({typed}|/)", home="/home/x", cache_dir="/home/x/.cache/snapdir")
    excluded = exclusion([pattern])
    assert excluded is not None
    with pytest.raises(SnapdirError) as caught:
        excluded.require_outside("/data")
    assert f"'({typed}|/)'" in str(caught.value)
