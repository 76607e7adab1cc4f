"""Globs have gitignore's meaning, and no pattern is slow."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidOption
from snapdir.model.globs import MAX_GLOB_CHARACTERS, globs

MATCHES = [
    ("*.bin", "./a.bin"),
    ("*.bin", "./deep/er/a.bin"),
    ("*.bin", "./x.bin/inside"),
    ("a?c", "./abc"),
    ("[a-c]x", "./bx"),
    ("[!a-c]x", "./dx"),
    ("[^a]x", "./bx"),
    ("[]-]x", "./]x"),
    ("[a-]x", "./-x"),
    ("[[:alpha:]_]x", "./qx"),
    ("[![:space:]]x", "./qx"),
    (r"\*x", "./*x"),
    (r"[\]]x", "./]x"),
    (r"\!x", "./!x"),
    ("train/", "./train/"),
    ("train/", "./train/a/b"),
    ("train/", "./deep/train/a"),
    ("/train", "./train/a"),
    ("./train", "./train/a"),
    ("train/*.bin", "./train/a.bin"),
    ("train/**", "./train/a/b"),
    ("train/**/x", "./train/x"),
    ("train/**/x", "./train/a/b/x"),
    ("**/x/**/y", "./x/b/x/c/y/z"),
    ("**", "./anything"),
    ("*", "./.hidden"),
    ("a**b", "./axxb"),
    ("é*", "./été/é.txt"),
    ("#a", "./#a"),
    ("a b ", "./a b "),
    ("a.b", "./a.b"),
]
MISSES = [
    ("*.bin", "./a.bin2"),
    ("*.bin", "./"),
    ("a?c", "./a/c"),
    ("[!a]x", "./ax"),
    ("[[:alpha:]_]x", "./1x"),
    ("[![:space:]]x", "./ x"),
    ("train/", "./train"),
    ("train/", "./train.txt"),
    ("/train", "./deep/train"),
    ("train/*.bin", "./train/deep/a.bin"),
    ("train/*.bin", "./other/train/a.bin"),
    ("train/**", "./train/"),
    ("a/**/", "./a/file"),
    ("a*b", "./a/b"),
    ("**", "./"),
    ("*", "./"),
    ("a.b", "./axb"),
    ("A", "./a"),
]
BROKEN = [
    "",
    "/",
    ".",
    "..",
    "a//b",
    "a/../b",
    "!a",
    "[a",
    "[",
    "[]",
    "[z-a]",
    "[[:word:]]",
    "[[:alpha",
    "a\0b",
    "a\\",
    "x" * 4097,
]


@pytest.mark.parametrize(("pattern", "path"), MATCHES)
def test_a_glob_covers(pattern: str, path: str) -> None:
    assert globs([pattern])(path)


@pytest.mark.parametrize(("pattern", "path"), MISSES)
def test_a_glob_does_not_cover(pattern: str, path: str) -> None:
    assert not globs([pattern])(path)


@pytest.mark.parametrize("pattern", BROKEN)
def test_a_glob_that_can_match_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidOption, match="invalid glob"):
        globs(["fine", pattern])


def test_no_globs_cover_nothing_and_several_are_alternatives() -> None:
    assert not globs([])("./a")
    either = globs(["a", "b/"])
    assert [path for path in ("./a", "./b/x", "./b", "./c") if either(path)] == ["./a", "./b/x"]


names = st.text("ab.", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4)
pattern_names = st.one_of(st.just("**"), st.text("ab.*?", min_size=1, max_size=5)).filter(
    lambda name: name not in (".", "..")
)


def covers(pattern: list[str], path: list[str]) -> bool:
    """The definition, by trying everything: names against names, characters against characters."""

    @cache
    def names_fit(i: int, j: int) -> bool:
        if i == len(pattern):
            return True  # what lies below is covered
        if pattern[i] == "**":
            if i == len(pattern) - 1:
                return j < len(path)
            return names_fit(i + 1, j) or (j < len(path) and names_fit(i, j + 1))
        return j < len(path) and characters_fit(pattern[i], path[j]) and names_fit(i + 1, j + 1)

    return names_fit(0, 0)


def characters_fit(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return characters_fit(pattern[1:], text) or (bool(text) and characters_fit(pattern, text[1:]))
    return bool(text) and pattern[0] in (text[0], "?") and characters_fit(pattern[1:], text[1:])


@given(pattern=st.lists(pattern_names, min_size=1, max_size=5), path=paths)
def test_globs_agree_with_a_search_of_every_possibility(pattern: list[str], path: list[str]) -> None:
    assert globs(["/" + "/".join(pattern)])("./" + "/".join(path)) == covers(pattern, path)


@given(name=pattern_names, path=paths)
def test_a_single_name_is_looked_for_at_every_level(name: str, path: list[str]) -> None:
    assert globs([name])("./" + "/".join(path)) == covers(["**", name], path)


@given(st.text(max_size=30))
def test_any_text_is_a_glob_or_an_error_that_says_so(text: str) -> None:
    with suppress(InvalidOption):
        globs([text])("./a/b")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 2000 + "b", "./" + "a" * 4000),
        ("**/a/" * 800 + "b", "./" + "a/" * 2000 + "c"),
        ("**/*a*/" * 500 + "b", "./" + "aaa/" * 1000 + "c"),
        ("*/" * 1000 + "b", "./" + "a/" * 2000 + "c"),
        ("?*" * 1000 + "b", "./" + "a" * 4000),
    ],
    ids=["stars", "directories", "both", "names", "marks"],
)
def test_a_hostile_glob_is_not_slow(pattern: str, path: str) -> None:
    assert len(pattern) <= MAX_GLOB_CHARACTERS
    covering = globs([pattern])
    started = time.process_time()
    assert not covering(path)
    assert time.process_time() - started < 2  # a search of every possibility would outlive the sun
