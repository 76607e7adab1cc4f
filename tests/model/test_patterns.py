"""Excludes: the reference's dialect, and patterns relative to the tree."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.cli import options
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.model.patterns import COMMON, exactly, exclusion, expand_macros, expression_of, protection


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
    typed = options.tree_arguments({"exclude": [exactly(path)], "no_follow": False}, Config())
    excluded = exclusion(typed["exclude"])
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


@pytest.mark.parametrize(
    ("glob", "expression"),
    [
        ("*.tmp", r"\.tmp$"),
        ("**/*.tmp", r"/[^/]*\.tmp$"),
        ("data/*.bin", r"/data/[^/]*\.bin$"),
        ("data/**/x?.bin", r"/data/(.*/)?x[^/]\.bin$"),
        ("./*.tmp", r"./[^/]*\.tmp$"),
        ("build/*", "/build/[^/]*$"),
        ("run-*.log", r"/run-[^/]*\.log$"),
        ("*.[ch]", r"\.[ch]$"),
    ],
)
def test_a_glob_has_an_expression(glob: str, expression: str) -> None:
    assert expression_of(glob) == expression
    assert exclusion([expression]) is not None


@pytest.mark.parametrize("pattern", ["*.tmp", "**/x", "data/**", "./**/x"])
def test_a_glob_that_is_no_expression_is_an_error_that_says_what_to_write(pattern: str) -> None:
    with pytest.raises(SnapdirError) as failed:
        exclusion([pattern])
    assert f"write '{expression_of(pattern)}', or use --ignore '{pattern}'" in str(failed.value)


def test_a_glob_that_is_an_expression_too_is_doubted() -> None:
    excluded = exclusion(["/data/*.bin", "run-*.log", "./*.tmp"])
    assert excluded is not None
    assert [doubt.partition("write ")[2] for doubt in excluded.doubts()] == [
        r"'/data/[^/]*\.bin$', or use --ignore '/data/*.bin'",
        r"'/run-[^/]*\.log$', or use --ignore 'run-*.log'",
        r"'./[^/]*\.tmp$', or use --ignore './*.tmp'",
    ]
    plain = exclusion([r"\.tmp$", "./.*/x", r"[0-9]*\.log$", COMMON, "(a|b)*", "/run-.*[.]log"])
    assert plain is not None
    assert plain.doubts() == []


def test_the_help_names_all_that_the_macros_stand_for() -> None:
    system, _ = expand_macros("%system%", home="/home/me", cache_dir="/cache")
    inner = system.removeprefix("(^(").partition("|/home/me")[0]
    assert all(name in options.COMMON_NAMES for name in COMMON.removeprefix("(/(").partition(")(")[0].split("|"))
    assert all(name in options.SYSTEM_PATHS for name in inner.split("|"))


def test_paths_to_protect_are_expressions_too() -> None:
    with pytest.raises(SnapdirError, match=re.escape(r"write '\.tmp$'")) as failed:
        protection(["*.tmp"])
    assert "--ignore" not in str(failed.value)


@pytest.mark.parametrize(
    ("glob", "expression"),
    [("keep-*.bin", r"/keep-[^/]*\.bin$"), ("keep-*", "/keep-[^/]*$"), ("train/*", "/train/[^/]*$")],
)
def test_a_glob_that_is_an_expression_too_protects_nothing(glob: str, expression: str) -> None:
    with pytest.raises(SnapdirError, match=re.escape(f"looks like a glob: write '{expression}'")):
        protection(["notes", glob])
    protects = protection([expression])
    assert protects is not None
    assert protects(f"./{glob.replace('*', '1')}")


@pytest.mark.parametrize("expression", ["notes", "train/", r"/keep-[0-9]*$", r"\.bin$", "a/.*", "(a|b/*)", r"^\./a/*"])
def test_an_expression_protects(expression: str) -> None:
    assert protection([expression]) is not None
