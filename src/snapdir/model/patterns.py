"""Exclude patterns of a walk: RE2, in the dialect of the reference, matched in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from snapdir.errors import SnapdirError

COMMON = (
    "(/(.cache|.git|.DS_Store|.vscode-server|.dbus|.gvfs|.local/share/gvfs-metadata|.local/share/Trash|.Trash"
    "|node_modules|Trash-1000)($|/))"
)
_SYSTEM_DIRECTORIES = (
    "/vscode/|/dev/|/proc/|/sys/|/tmp/|/var/run/|/run/|/mnt/|/media/|/lost+found/|/var/snap/lxd/common/ns/shmounts/"
    "|/var/snap/lxd/common/ns/mntns/|/var/lib/lxcfs/"
)
_EXPANDED_SYSTEM = re.compile(re.escape(f"(^({_SYSTEM_DIRECTORIES}") + r".*?\)\)")
_LIKE_A_GLOB = re.compile(r"(?:^|/)\*|[\w-]\*(?:\.\w+)?$").search
_ONLY_IN_EXPRESSIONS = re.compile(r"[\\^$()|+]|\.[*?]").search
_GLOB_PIECES = re.compile(r"\*\*/|\*+|\?|\[[^/]*?\]|.", re.DOTALL)
_GLOB_WORDS = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_META = frozenset("\\.+*?()|[]{}^$")

INSIDE_ONLY = "a pattern that starts with ./ matches paths inside the tree only"


class Exclusion:
    """A test whether an entry is left out; see ``exclusion``."""

    def __init__(self, absolute: Sequence[str], relative: Sequence[str]) -> None:
        self._absolute = absolute
        self._relative = relative
        self._in_absolute = _searcher(absolute, "(?:{})")
        self._in_relative = _searcher(relative, r"^(?:\./{})", prefix="./")

    def __call__(self, absolute_path: str, relative_path: str) -> bool:
        return self._in_absolute(absolute_path) or self._in_relative(relative_path)

    @property
    def patterns(self) -> tuple[str, ...]:
        return (*self._absolute, *self._relative)

    def doubts(self) -> list[str]:
        """A warning for each pattern that looks like a glob."""
        return [
            f"--exclude takes a regular expression, and '{_as_typed(pattern)}' looks like a glob: {_way_out(pattern)}"
            for pattern in self.patterns
            if _LIKE_A_GLOB(pattern)
        ]

    def require_outside(self, root: str) -> None:
        """Make sure that the tree itself is not left out.

        Raises:
            SnapdirError: a pattern fits the absolute path of the tree itself, and so usually all entries in it.
        """
        if self._in_absolute(root):
            guilty = next(pattern for pattern in self._absolute if _searcher([pattern], "(?:{})")(root))
            raise SnapdirError(
                f"the exclude pattern {_as_typed(guilty)!r} matches the path of the tree itself, {root}: patterns are"
                f" searched in absolute paths; {INSIDE_ONLY}"
            )

    def nothing_left(self, root: str) -> SnapdirError:
        """The error for a tree whose files are all excluded."""
        patterns = ", ".join(repr(_as_typed(pattern)) for pattern in self.patterns)
        return SnapdirError(
            f"--exclude {patterns} excludes every file of {root}; patterns are searched in absolute paths,"
            f" {INSIDE_ONLY}"
        )


def exactly(path: str, *, beside: str = "") -> str:
    """The exclude pattern for one path of a tree (``./a/b``).

    Args:
        beside: A pattern for the end of its name.
    """
    return f"./{''.join(map(_quoted, path.removeprefix('./')))}{beside}$"


def expression_of(glob: str) -> str:
    """The exclude pattern for a glob: ``\\.tmp$`` for ``*.tmp``."""
    body = glob.removeprefix("./").strip("/")
    expression = "".join(
        _GLOB_WORDS.get(piece) or (piece if len(piece) > 1 else _quoted(piece)) for piece in _GLOB_PIECES.findall(body)
    )
    if glob.startswith("./"):
        return f"./{expression}$"
    if body.startswith("**/"):
        return f"/{expression.removeprefix('(.*/)?')}$"
    return f"{expression.removeprefix('[^/]*')}$" if body.startswith("*") else f"/{expression}$"


def _as_expression(glob: str) -> str:
    return f"write '{expression_of(glob)}'"


def _way_out(glob: str) -> str:
    return f"{_as_expression(glob)}, or use --ignore '{glob}'"


def _quoted(character: str) -> str:
    # The command line splits at commas and replaces what stands between percent signs.
    if character in ",%" or not character.isprintable():
        return f"\\x{{{ord(character):x}}}"
    return f"\\{character}" if character in _META else character


def _as_typed(pattern: str) -> str:
    return _EXPANDED_SYSTEM.sub("%system%", pattern.replace(COMMON, "%common%"))


def expand_macros(pattern: str, *, home: str, cache_dir: str) -> tuple[str, bool]:
    """``pattern`` with %common% and %system% replaced, and whether %system% was in it (which turns off links)."""
    system = f"(^({_SYSTEM_DIRECTORIES}|{home}/.cache/|{cache_dir}))"
    return pattern.replace("%common%", COMMON).replace("%system%", system), "%system%" in pattern


def exclusion(patterns: Iterable[str]) -> Exclusion | None:
    """One test for all ``patterns``, or None without any.

    A pattern is searched in the entry's absolute path (no trailing slash), as in the reference. A pattern that starts
    with ``./`` is matched from the start of the path in the tree, so that the id does not depend on the location of the
    tree.

    Raises:
        SnapdirError: RE2 refuses a pattern; the message names it and the reason.
    """
    absolute: list[str] = []
    relative: list[str] = []
    for pattern in patterns:
        (relative if pattern.startswith("./") else absolute).append(pattern)
    if not absolute and not relative:
        return None
    return Exclusion(absolute, relative)


def protection(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """One test for the paths that a mirror leaves alone, or None without any pattern.

    A pattern is searched in the path as a manifest writes it: ``./a/b``, and ``./a/`` for a directory.

    Raises:
        SnapdirError: RE2 refuses a pattern, or it is a glob, which would protect other paths than were meant; the
            message names it and the reason.
    """
    given = [pattern for pattern in patterns if pattern]
    protects = _searcher(given, "(?:{})", way_out=_as_expression) if given else None
    glob = next((each for each in given if _LIKE_A_GLOB(each) and not _ONLY_IN_EXPRESSIONS(each)), None)
    if glob is not None:
        raise SnapdirError(
            f"the paths that --exclude protects from --delete are named by a regular expression, and '{glob}' looks"
            f" like a glob: {_as_expression(glob)}"
        )
    return protects


def _searcher(
    patterns: Sequence[str], group: str, *, prefix: str = "", way_out: Callable[[str], str] = _way_out
) -> Callable[[str], bool]:
    if not patterns:
        return lambda _text: False
    import re2  # 6 ms to import, paid only by those who exclude something

    options = re2.Options()
    options.log_errors = False
    for pattern in patterns:
        try:
            # One by one first, so that a broken pattern cannot hide behind its neighbour's bracket.
            re2.compile(group.format(pattern.removeprefix(prefix)), options)
        except re2.error as error:
            reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
            glob = f"; this looks like a glob, and a regular expression is expected: {way_out(pattern)}"
            raise SnapdirError(
                f"invalid exclude pattern '{pattern}': {reason}{glob if _LIKE_A_GLOB(pattern) else ''}"
            ) from error
    bodies = (pattern.removeprefix(prefix) for pattern in patterns)
    compiled = re2.compile("|".join(map(group.format, bodies)), options)
    return lambda text: compiled.search(text) is not None
