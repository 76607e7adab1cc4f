"""Rules to ignore mean what git means by them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapdir.disk.walk import Walk
from snapdir.errors import InvalidOption
from snapdir.model.entry import Entry
from snapdir.model.ignoring import MAX_PATTERNS, IgnoreRules, rules_in
from snapdir.model.manifest import Manifest
from snapdir.model.paths import directories_above

FILES = (
    "a", "b", ".h", "a.tmp", "b.log", "#x", "!y", "sp ", "t1/a", "t1/b.tmp", "t1/t2/a", "t1/t2/b.log", "t1/t2/t3/a.tmp",
    "t2/a", "t2/t1/b", "t2/t1/t2/a.tmp", "build/out", "src/build/out", "src/a.c", "src/a.h", "src/.h", "ééééé/a", "A",
    "t1/A", "[x]", "x-y", "t1/[x]", "data/1.bin", "data/12.bin", "data/sub/3.bin", "data/sub/keep",
)  # fmt: skip
TABLE = [
    "*.tmp",
    "/a",
    "a",
    "t1/",
    "t1",
    "/t1/*",
    "t1/*\n!t1/t2",
    "t1/*\n!t1/t2/",
    "*\n!*/\n!*.tmp",
    "t1/**",
    "**/t2",
    "**/t2/**",
    "t1/**/a",
    "t1/**/*.tmp\n!t3/",
    "build/\n!/build/",
    "src/build",
    "src/*.[ch]",
    "src/*.[!c]",
    "src/*.[^c]",
    "# a comment\n\\#x",
    "\\!y",
    "!y\n*\n!y",
    "sp\\ ",
    "sp   ",
    "a   \nb",
    "\r\na\r\nb.log\r\n",
    "\ufeffa",
    "[[:upper:]]",
    "data/[[:digit:]].bin",
    "data/[[:digit:]][[:digit:]].bin",
    "data/[0-9]*",
    "data/**/[!0-9]*",
    "\\[x\\]",
    "[[]x]",
    "[x]",
    "x[--0]y",
    "x[+--]y",
    "?",
    "??",
    "*/*/*",
    "**",
    "/**",
    "**/",
    "/*/\n!/t1/",
    "data\n!data/sub/keep",
    "data/*\n!data/sub\ndata/sub/*\n!data/sub/keep",
    "a**",
    "**a",
    "ééééé",
    "/é*/*",
    ".*",
    "*.*\n!.*",
    "t1/t2/t3",
    "t2/t1/",
]


def plant(root: Path) -> Path:
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("ignored"))


def kept_by_git(tree: Path, rules: str) -> set[str]:
    """The files that git would add, in the order that it gives them no meaning."""
    (tree / ".git" / "rules").write_text(rules, newline="")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-from=.git/rules"],
        cwd=tree,
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
    )
    return {f"./{name}" for name in listed.stdout.decode().split("\0") if name}


def kept_by_us(tree: Path, rules: str) -> set[str]:
    ignored = IgnoreRules([*rules_in(rules, "rules"), "/.git"])
    return {source.path for source in Walk(tree, ignored=ignored)}


@pytest.mark.parametrize("rules", TABLE)
def test_a_walk_keeps_what_git_keeps(tree: Path, rules: str) -> None:
    assert kept_by_us(tree, rules) == kept_by_git(tree, rules)


pieces = st.sampled_from(
    ["a", "b", "t1", "t2", "t3", "build", "src", "data", "*", "?", "**", "*.tmp", "*.log", "[a-t]*", "[!a]", "t?", ".h"]
)
globs = st.builds(
    lambda keeps, anchor, names, end: keeps + anchor + "/".join(names) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(pieces, min_size=1, max_size=4),
    st.sampled_from(["", "", "/", " "]),
)


@settings(max_examples=150, deadline=None)
@given(rules=st.lists(globs, min_size=1, max_size=5))
def test_any_rules_keep_what_git_keeps(tree: Path, rules: list[str]) -> None:
    text = "\n".join(rules)
    assert kept_by_us(tree, text) == kept_by_git(tree, text)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("a  ", "a"),
        ("a\\ ", "a\\ "),
        ("a\\  ", "a\\ "),
        ("a\\\\ ", "a\\\\"),
        ("a\r", "a"),
        ("a\t", "a\t"),
        ("\\#a", "\\#a"),
    ],
)
def test_a_line_is_a_rule_without_the_spaces_at_its_end(line: str, rule: str) -> None:
    assert list(rules_in(line, "rules")) == [rule]


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n#comments", "   ", "\r\n"])
def test_a_file_may_have_no_rules(text: str) -> None:
    assert list(rules_in(text, "rules")) == []
    assert not IgnoreRules([])("./a")


@pytest.mark.parametrize("rule", ["[a", "a\0b", "a//b", "/", "!", "!!a", "..", "a\\", "[[:word:]]", "x" * 5000])
def test_a_bad_rule_is_named_with_its_line(rule: str) -> None:
    with pytest.raises(InvalidOption, match="invalid glob"):
        IgnoreRules([rule])
    with pytest.raises(InvalidOption, match=r"\Arules, line 3: invalid glob"):
        list(rules_in(f"a\n\n{rule}\n", "rules"))


def test_a_million_paths_are_looked_up() -> None:
    ignored = IgnoreRules(rules_in("".join(f"/a/{number}\n" for number in range(1_000_000)), "rules"))
    assert ignored("./a/7")
    # 2 µs a path. Matched one by one, each would take 0.1 s, and this test its 300 s.
    assert not any(ignored(f"./b/{number}/") for number in range(10_000))


@pytest.mark.parametrize("text", ["*.{}\n", "!a{}\n", "a{0}\n!b{0}\n"])
def test_a_million_globs_are_refused(text: str) -> None:
    lines = "".join(map(text.format, range(1_000_000))).splitlines()
    with pytest.raises(InvalidOption, match=f"more than {MAX_PATTERNS:,}"):
        IgnoreRules(rules_in("\n".join(lines), "rules"))  # it stops at the limit: all of them would take minutes
    with pytest.raises(InvalidOption, match=f"more than {MAX_PATTERNS:,}"):
        IgnoreRules(lines)


listed = st.lists(
    st.builds(
        lambda names, end: Entry("D" if end else "F", "755", "0" * 64, 1, f"./{'/'.join(names)}{end}"),
        st.lists(st.sampled_from(["a", "b", "a!", "c.x"]), min_size=1, max_size=4),
        st.sampled_from(["", "/"]),
    )
)
some_rules = st.lists(st.sampled_from(["a", "b/", "*.x", "!b", "!c.x", "/a/b", "a!/*"]), max_size=3)


@given(entries=listed, rules=some_rules)
def test_an_entry_is_left_out_of_a_manifest_with_everything_below_it(entries: list[Entry], rules: list[str]) -> None:
    ignored, manifest = IgnoreRules(rules), Manifest([Entry("D", "755", "0" * 64, 1, "./"), *entries])
    kept = [
        entry
        for entry in manifest
        if not any(ignored(path) for path in (entry.path, *directories_above(entry.path)) if path != "./")
    ]
    assert list(ignored.without_ignored(manifest)) == kept


def test_no_path_of_a_hostile_manifest_breaks_it() -> None:
    entries = [Entry("F", "644", "0" * 64, 1, path) for path in ("", "/", "a", "/a/b", "./a//b", "../a", "./")]
    manifest = Manifest(entries)
    assert {entry.path for entry in IgnoreRules(["b", "*.x", "a/"]).without_ignored(manifest).entries} >= {"", "a"}
