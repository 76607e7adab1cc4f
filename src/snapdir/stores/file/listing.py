"""List the keys of a store in a directory in order, with one directory for each level in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator

from snapdir.stores.base import ObjectInfo
from snapdir.stores.file.failures import missing_store


def listed(root: str, prefix: str, start_after: str, *, hidden: str) -> Generator[ObjectInfo, None, None]:
    """Regular files below ``root`` whose key starts with ``prefix`` and comes after ``start_after``.

    They come in the order of the keys' bytes: a directory sorts with its slash, so ``a/...`` comes between ``a-`` and
    ``a0``. Links to directories are followed directly below the root only, for administrators who move ``.objects`` to
    another disk; so a listing cannot run in circles.

    Args:
        hidden: A name directly below the root to leave out.

    Raises:
        StoreMissing: ``root`` is not a directory.
    """
    if missing := missing_store(root):
        raise missing
    folder, slash, beginning = prefix.rpartition("/")
    if "\0" in prefix or (slash and any(name in ("", ".", "..") for name in folder.split("/"))):
        return
    walk = _Walk(root, os.fsencode(start_after), hidden)
    # A stack instead of recursion: each directory is read when its turn comes, and dropped afterwards.
    pending = [walk.children(folder + slash, beginning)]
    while pending:
        for child in pending[-1]:
            if isinstance(child, ObjectInfo):
                yield child
            else:
                pending.append(walk.children(child, ""))
                break
        else:
            pending.pop()


def folders(root: str, prefix: str, *, hidden: str) -> list[str]:
    """Names of the directories right below ``prefix``, sorted. Arguments and links as for ``listed``.

    A directory without files in it counts too: only a store that was deleted by hand leaves one.

    Raises:
        StoreMissing: ``root`` is not a directory.
    """
    if missing := missing_store(root):
        raise missing
    children = _Walk(root, b"", hidden).children(prefix, "")
    return sorted(child[len(prefix) : -1] for child in children if isinstance(child, str))


class _Walk:
    def __init__(self, root: str, start_after: bytes, hidden: str) -> None:
        self._root = root
        self._start_after = start_after
        self._hidden = hidden

    def children(self, folder: str, beginning: str) -> Iterator[ObjectInfo | str]:
        """The entries of one directory in order: files, and directories as keys with a slash at their end."""
        try:
            with os.scandir(os.path.join(self._root, folder)) as scan:
                entries = [(self._key(folder, entry), entry) for entry in scan if entry.name.startswith(beginning)]
        except (FileNotFoundError, NotADirectoryError):
            return
        for key, entry in sorted((os.fsencode(key), entry.path) for key, entry in entries if key):
            if key.endswith(b"/"):
                if key > self._start_after or self._start_after.startswith(key):
                    yield os.fsdecode(key)
            elif key > self._start_after and (info := _info(os.fsdecode(key), entry)):
                yield info

    def _key(self, folder: str, entry: os.DirEntry[str]) -> str:
        if folder:
            return f"{folder}{entry.name}/" if entry.is_dir(follow_symlinks=False) else folder + entry.name
        if entry.name == self._hidden:
            return ""
        return f"{entry.name}/" if entry.is_dir() else entry.name


def _info(key: str, path: str) -> ObjectInfo | None:
    try:
        status = os.stat(path)
    except OSError:  # deleted meanwhile, or a link to nothing
        return None
    return ObjectInfo(key, status.st_size, status.st_mtime) if stat.S_ISREG(status.st_mode) else None
