"""The paths of a manifest: their parents, and whether they may be written below a destination."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
        above = path
        while above and above not in known:
            known.add(above)
            above = above[: above.rfind("/", 0, -1) + 1]
    return known


def check_materialisable(entries: Iterable[Entry]) -> None:
    """Accept the entries of a manifest only if they describe a single tree that stays inside its destination.

    Raises:
        UnsafePath: an unsafe path, one below STAGING_NAME, a path listed twice with different content, a file that is
            also a directory, or a file at ``./``.
    """
    files: dict[Names, Entry] = {}
    directories: dict[Names, Entry] = {}
    for entry in entries:
        names = path_components(entry.path)
        refuse_staging(names)
        if entry.is_file and (not names or entry.path.endswith("/")):
            raise UnsafePath(entry.path, "a file has the path of a directory")
        same_kind = files if entry.is_file else directories
        if same_kind.setdefault(names, entry) != entry:
            raise UnsafePath(entry.path, "it is listed twice with different content")
    parents = set(directories)
    for names in (*files, *directories):
        parents.update(_ancestors(names, parents))
    for names in files.keys() & parents:
        raise UnsafePath(files[names].path, "it is a file and a directory")


def _check_length(path: str) -> None:
    if len(path) > MAX_PATH_CHARACTERS + len("./"):
        raise UnsafePath(path, f"it is longer than {MAX_PATH_CHARACTERS} characters")


def _ancestors(names: Names, known: set[Names]) -> Iterable[Names]:
    for length in range(len(names) - 1, 0, -1):
        ancestor = names[:length]
        if ancestor in known:
            return
        yield ancestor
