"""Rules of a .gitignore: which entries of a tree to leave out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from snapdir.errors import InvalidOption
from snapdir.model.globs import check_glob, entries, has_wildcards
from snapdir.model.manifest import Manifest
from snapdir.model.paths import with_parents

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
        """The entries that a walk with these rules would list."""
        paths = {entry.path for entry in manifest.entries}
        ignored: set[str] = set()
        for path in sorted(paths | with_parents(paths), key=len):  # what is above comes first
            if path != ROOT and (_above(path) in ignored or self(path)):
                ignored.add(path)
        return Manifest([entry for entry in manifest.entries if entry.path not in ignored]) if ignored else manifest


def _above(path: str) -> str:
    return path[: path.rfind("/", 0, -1) + 1]


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
