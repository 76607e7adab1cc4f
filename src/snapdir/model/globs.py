r"""Globs on the paths of a snapshot, as gitignore writes them, matched in time linear in the path.

``*`` and ``?`` stand for characters of one name, ``[a-z]``, ``[!a-z]`` and ``[[:digit:]]`` for one character, ``**``
for any number of directories, ``\`` takes the next character as it is. A glob with a slash at its start or inside is
matched from the root of the snapshot, any other at every level; a slash at its end matches directories only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from snapdir.errors import InvalidOption

MAX_GLOB_CHARACTERS = 4096
"""PATH_MAX: no longer pattern can match a path that may be written."""

ANY_DIRECTORIES = "**"
_WILDCARD = re.compile(r"[*?\[\\]")
_NAMED_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_COMPONENT_END = r"(?=/|\Z)"
_DIRECTORIES = r"(?:[^/]++/)*?"


def globs(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a manifest path (``./a/b``, or ``./a/`` for a directory) is matched by, or below, any of ``patterns``.

    Raises:
        InvalidOption: a glob is invalid; the message names it and the reason.
    """
    return _matcher([_expression(pattern, below=True) for pattern in patterns])


def entries(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a manifest path itself is matched by any of ``patterns``; what is below a match is not.

    Globs without wildcards are looked up: a million of them cost no more than one.

    Raises:
        InvalidOption: a glob is invalid; the message names it and the reason.
    """
    fixed: set[str] = set()
    wild: list[str] = []
    for pattern in patterns:
        if has_wildcards(pattern):
            wild.append(_expression(pattern, below=False))
        else:
            names, directory_only = _names(pattern)
            fixed.add("/".join(names) + "/" * directory_only)
    is_wild = _matcher(wild)

    def matches(path: str) -> bool:
        bare = path[2:].removesuffix("/")
        floating = f"{ANY_DIRECTORIES}/{bare[bare.rfind('/') + 1 :]}"
        if bare in fixed or floating in fixed:
            return True
        return (path.endswith("/") and (f"{bare}/" in fixed or f"{floating}/" in fixed)) or is_wild(path)

    return matches


def has_wildcards(pattern: str) -> bool:
    return _WILDCARD.search(pattern) is not None


def check_glob(pattern: str) -> None:
    """
    Raises:
        InvalidOption: the glob is invalid; the message names it and the reason.
    """
    if has_wildcards(pattern):
        _expression(pattern, below=False)
    else:
        _names(pattern)


def _matcher(expressions: list[str]) -> Callable[[str], bool]:
    if not expressions:
        return lambda _path: False
    match = re.compile(f"(?:{'|'.join(expressions)})\\Z", re.DOTALL).match
    return lambda path: match(path, 2) is not None  # behind the ./


def _expression(pattern: str, *, below: bool) -> str:
    """The regular expression for one glob; with ``below``, it also covers what is in a directory that fits.

    It never tries a position twice: the characters between two stars of a name, and the names between two ``**``, have
    a fixed length each, so that their first match is as good as any. Atomic groups express that.
    """
    names, directory_only = _names(pattern)
    fixed, *floating = _runs(pattern, names)
    *inner, last = floating or [fixed]
    expression = "/".join([*fixed, ""]) if floating else ""
    expression += "".join(f"(?>{_DIRECTORIES}{'/'.join(run)}/)" for run in inner)
    if not last:  # it ends in **: everything inside
        inside = r"[^/]++/.*" if below else ".+/"
        return expression + (inside if directory_only else ".+")
    expression += (_DIRECTORIES if floating else "") + "/".join(last)
    if below:
        return expression + ("/.*" if directory_only else "(?:/.*)?")
    return expression + ("/" if directory_only else "/?")


def _names(pattern: str) -> tuple[list[str], bool]:
    """The names of a glob, ``**`` first where it floats; and whether it is for directories only."""
    if len(pattern) > MAX_GLOB_CHARACTERS:
        raise _invalid(pattern[:40] + "…", f"it is longer than {MAX_GLOB_CHARACTERS} characters")
    if "\0" in pattern:
        raise _invalid(pattern, "no name has a NUL")
    if pattern.startswith("!"):
        raise _invalid(pattern, "a glob cannot start with !; use --exclude, or \\! for a name that starts with !")
    body = pattern.removeprefix(".") if pattern.startswith("./") else pattern
    names = body.removeprefix("/").removesuffix("/").split("/")
    if "" in names or "." in names or ".." in names:
        raise _invalid(pattern, "an empty, '.' or '..' name matches nothing")
    anchored = body.startswith("/") or len(names) > 1
    return (names if anchored else [ANY_DIRECTORIES, *names]), body.endswith("/")


def _runs(pattern: str, names: Iterable[str]) -> list[list[str]]:
    """Expressions of the names between the ``**``, the first run being what stands before any."""
    runs: list[list[str]] = [[]]
    for name in names:
        if name != ANY_DIRECTORIES:
            runs[-1].append(_name(pattern, name))
        elif runs[-1] or len(runs) == 1:
            runs.append([])
    return runs


def _name(pattern: str, name: str) -> str:
    pieces = [""]
    for expression in _expressions(pattern, name):
        if expression == "*":
            pieces.append("")
        else:
            pieces[-1] += expression
    first, *inner = pieces
    if not inner:
        return f"{first}{_COMPONENT_END}"
    *inner, last = inner
    not_empty = "" if first else "(?=[^/])"
    body = "".join(f"(?>[^/]*?{piece})" for piece in inner if piece)
    return f"(?>{not_empty}{first}{body}[^/]*{last}{_COMPONENT_END})"


def _expressions(pattern: str, name: str) -> Iterator[str]:
    """Expressions of one character each, and ``*``."""
    position = 0
    while position < len(name):
        character = name[position]
        position += 1
        if character == "*":
            yield "*"
        elif character == "?":
            yield "[^/]"
        elif character == "[":
            expression, position = _class(pattern, name, position)
            yield expression
        elif character == "\\":
            if position == len(name):
                raise _invalid(pattern, "a character must follow the backslash")
            yield re.escape(name[position])
            position += 1
        else:
            yield re.escape(character)


def _class(pattern: str, name: str, position: int) -> tuple[str, int]:
    """The expression of a class whose ``[`` stands before ``position``, and where it ends."""
    negated = name[position : position + 1] in ("!", "^")
    position += negated
    members = ""
    first = position
    while name[position : position + 1] != "]" or position == first:
        if name.startswith("[:", position):
            named, position = _named_class(pattern, name, position)
            members += named
            continue
        low, position = _member(pattern, name, position)
        high = low
        if name[position : position + 1] == "-" and name[position + 1 : position + 2] not in ("", "]"):
            high, position = _member(pattern, name, position + 1)
        if high < low:
            raise _invalid(pattern, f"the range {low}-{high} is reversed")
        members += re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}"
    return (f"[^/{members}]" if negated else f"(?!/)[{members}]"), position + 1


def _named_class(pattern: str, name: str, position: int) -> tuple[str, int]:
    """The members of ``[:alpha:]`` and the like, and where it ends."""
    end = name.find(":]", position)
    word = name[position + 2 : end]
    if end < 0 or word not in _NAMED_CLASSES:
        raise _invalid(pattern, f"expected one of [:{':], [:'.join(_NAMED_CLASSES)}:]")
    return _NAMED_CLASSES[word], end + 2


def _member(pattern: str, name: str, position: int) -> tuple[str, int]:
    position += name.startswith("\\", position)
    if position >= len(name):
        raise _invalid(pattern, "a [ is not closed by ]; write \\[ for the character itself")
    return name[position], position + 1


def _invalid(pattern: str, reason: str) -> InvalidOption:
    return InvalidOption(f"invalid glob '{pattern}': {reason}")
