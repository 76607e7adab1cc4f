"""Rules of a .gitignore: which entries of a tree to leave out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile

from snapdir.errors import InvalidOption
from snapdir.model.entry import Entry
from snapdir.model.globs import check_glob, entries, has_wildcards
from snapdir.model.manifest import Manifest
from snapdir.model.paths import directories_above

ROOT = "./"
MAX_PATTERNS = 10_000
"""Rules with wildcards or a ``!``: so many take 1.5 s to compile, and 1.5 ms for each path. Others are looked up."""

TOO_MANY = f"more than {MAX_PATTERNS:,} rules to ignore have wildcards or start with !; name directories instead"


class IgnoreRules:
    """A test whether an entry of a tree is ignored.

    A rule is a glob (see ``model.globs``); after a ``!`` it keeps what an earlier rule ignores. The last rule that
    matches an entry decides. A walk does not enter an ignored directory, so no rule can keep anything in it.

    Attributes:
        rules: As they were given.

    Raises:
        InvalidOption: a rule is invalid, or too many have wildcards; the message names the reason.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self.rules = tuple(rules)
        if sum(map(_is_pattern, self.rules)) > MAX_PATTERNS:
            raise InvalidOption(TOO_MANY)
        groups = [(keeps, entries(rule[keeps:] for rule in group)) for keeps, group in groupby(self.rules, _keeps)]
        self._last_first = groups[::-1]

    def __call__(self, path: str) -> bool:
        """Whether an entry is ignored: ``./a/b``, or ``./a/`` for a directory."""
        for keeps, matches in self._last_first:
            if matches(path):
                return not keeps
        return False

    def without_ignored(self, manifest: Manifest) -> Manifest:
        """The entries that a walk with these rules would list.

        Raises:
            UnsafePath: a path is too long.
        Cost: about 3 µs per entry.
        """
        around: list[tuple[str, bool]] = []  # the directories that the last path is in, and whether they are ignored

        def is_kept(entry: Entry) -> bool:
            while around and not (entry.path != around[-1][0] and entry.path.startswith(around[-1][0])):
                around.pop()
            innermost = around[-1][0] if around else ""
            for directory in reversed(list(takewhile(innermost.__ne__, directories_above(entry.path)))):
                around.append((directory, self._ignores(directory, around)))
            return not self._ignores(entry.path, around)

        kept = Manifest.in_order(filter(is_kept, manifest))
        return manifest if len(kept) == len(manifest) else kept

    def _ignores(self, path: str, around: Sequence[tuple[str, bool]]) -> bool:
        return path != ROOT and ((bool(around) and around[-1][1]) or self(path))


def _keeps(rule: str) -> bool:
    return rule.startswith("!")


def _is_pattern(rule: str) -> bool:
    return _keeps(rule) or has_wildcards(rule)


def rules_in(text: str, name: str) -> Iterator[str]:
    """The rules in the lines of a file, without comments, empty lines and spaces at the end of a line.

    Args:
        name: Of the file, for messages.

    Raises:
        InvalidOption: a rule is invalid, and the message names its line; or too many have wildcards.
    """
    patterns = 0
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        rule = _without_trailing_spaces(line.removesuffix("\r"))
        if rule and not rule.startswith("#"):
            try:
                check_glob(rule[_keeps(rule) :])
            except InvalidOption as error:
                raise InvalidOption(f"{name}, line {number}: {error}") from error
            patterns += _is_pattern(rule)
            if patterns > MAX_PATTERNS:
                raise InvalidOption(f"{name}: {TOO_MANY}")
            yield rule


def _without_trailing_spaces(line: str) -> str:
    rule = line.rstrip(" ")
    is_escaped = (len(rule) - len(rule.rstrip("\\"))) % 2 == 1
    return rule + " " if is_escaped and rule != line else rule
