"""The paths of a manifest: their parents, and whether they may be written below a destination."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapdir.errors import UnsafePath
from snapdir.model.entry import Entry

Names = tuple[str, ...]
"""A path below a root, as names; () is the root."""

MAX_PATH_CHARACTERS = 4096
"""PATH_MAX on Linux, in bytes: longer paths cannot be in a snapshot."""
MAX_COMPONENTS = MAX_PATH_CHARACTERS // 2
MAX_NAME_BYTES = 255

STAGING_NAME = ".snapdir-partial"
"""The directory of unfinished files, directly below the root of a destination. No manifest may name it."""
_BESIDE = re.compile(re.escape(STAGING_NAME) + "-[0-9a-f]{16}").fullmatch


def is_temporary_beside(name: str) -> bool:
    """Whether this is the name of a file or link that a checkout was about to rename, in any directory."""
    return _BESIDE(name) is not None


def refuse_staging(names: Names) -> None:
    """Accept only a path outside STAGING_NAME.

    Raises:
        UnsafePath: ``names`` lead into the directory for temporary files.
    """
    if names and names[0] == STAGING_NAME:
        raise UnsafePath("/".join((".", *names)), "it lies in the directory for temporary files")


def flaw_of_name(name: str) -> str:
    """Why a name cannot be represented in a manifest or checked out; empty if it can."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "the name is not valid UTF-8"
    if "\n" in name or name.endswith("\r"):
        return "the name has a newline or ends in a carriage return, which a manifest cannot represent"
    if length > MAX_NAME_BYTES:
        return f"the name is longer than {MAX_NAME_BYTES} bytes, which cannot be checked out"
    return ""


def flaw_of_length(path: str) -> str:
    """The reason why a checkout would refuse the length of a path; else empty."""
    if len(path) + len("/") > MAX_PATH_CHARACTERS + len("./"):
        return f"its path in the tree is longer than {MAX_PATH_CHARACTERS} characters, which cannot be checked out"
    return ""


def path_components(path: str) -> Names:
    """The names of a relative manifest path: ``./a/b`` and ``./a/b/`` are ``("a", "b")``, ``./`` is ``()``.

    A backslash and a colon are ordinary characters, as on every POSIX filesystem.

    Raises:
        UnsafePath: absolute, not starting with ``./``, too long, or with an empty, ``.``, ``..``, NUL or over-long
            component.
    """
    _check_length(path)
    if not path.startswith("./"):
        raise UnsafePath(path, "it does not start with './'")
    if path == "./":
        return ()
    names = tuple(path[2:].removesuffix("/").split("/"))
    if len(names) > MAX_COMPONENTS:
        raise UnsafePath(path, f"it has {len(names)} components, more than {MAX_COMPONENTS}")
    if "" in names or "." in names or ".." in names:
        raise UnsafePath(path, "it has an empty, '.' or '..' component")
    if "\0" in path or "\n" in path:
        raise UnsafePath(path, "it has a NUL or newline character")
    if any(len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES for name in names):
        raise UnsafePath(path, f"a name in it is longer than {MAX_NAME_BYTES} bytes")
    return names


def with_parents(paths: Iterable[str]) -> set[str]:
    """``paths`` and every directory above one, up to ``./``.

    Raises:
        UnsafePath: a path is too long.
    """
    known: set[str] = set()
    for path in paths:
        _check_length(path)
        upward = path
        while upward and upward not in known:
            known.add(upward)
            upward = above(upward)
    return known


def above(path: str) -> str:
    """The directory that a path is in: ``./a/`` for ``./a/b`` and for ``./a/b/``; empty for ``./``."""
    return path[: path.rfind("/", 0, -1) + 1]


def directories_above(path: str) -> Iterator[str]:
    """Every directory above a path, the innermost first, up to ``./``.

    Raises:
        UnsafePath: the path is too long.
    """
    _check_length(path)
    while path := above(path):
        yield path


def check_materialisable(entries: Iterable[Entry]) -> None:
    """Accept the entries of a manifest only if they describe a single tree that stays inside its destination.

    Args:
        entries: In the order of their paths, as a manifest has them.

    Raises:
        UnsafePath: an unsafe path, one below STAGING_NAME, a path listed twice with different content, a file that is
            also a directory, or a file at ``./``.
    Cost: 3 µs per entry, and the memory of one path.
    """
    # Between ``x`` and ``x/`` come only paths that begin with x: the entries that such a path may conflict with are
    # those without a final ``/`` whose path it begins with.
    around: list[Entry] = []
    last: Entry | None = None
    for entry in entries:
        names = path_components(entry.path)
        refuse_staging(names)
        if entry.is_file and (not names or entry.path.endswith("/")):
            raise UnsafePath(entry.path, "a file has the path of a directory")
        if entry == last:
            continue
        while around and not entry.path.startswith(around[-1].path):
            around.pop()
        for earlier in around:
            _refuse_conflict(earlier, entry)
        if not entry.path.endswith("/"):
            around.append(entry)
        elif last is not None and last.path == entry.path:
            raise UnsafePath(entry.path, "it is listed twice with different content")
        last = entry


def _refuse_conflict(earlier: Entry, entry: Entry) -> None:
    """
    Args:
        earlier: Its path has no final ``/``, and that of ``entry`` begins with it.
    """
    rest = entry.path[len(earlier.path) :]
    if rest in ("", "/") and entry.is_file == earlier.is_file:
        raise UnsafePath(entry.path, "it is listed twice with different content")
    if rest == "" or (rest.startswith("/") and earlier.is_file):
        raise UnsafePath(earlier.path, "it is a file and a directory")


def _check_length(path: str) -> None:
    if len(path) > MAX_PATH_CHARACTERS + len("./"):
        raise UnsafePath(path, f"it is longer than {MAX_PATH_CHARACTERS} characters")
