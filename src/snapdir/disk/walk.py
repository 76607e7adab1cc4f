"""Find the files and directories of a tree, in the reference's terms: what is listed, followed, left out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import NamedTuple

from snapdir.disk.linked_objects import LinkedObjects
from snapdir.errors import InFluxError, LocalError, UnsafeName, WalkFailed, local_error
from snapdir.model.patterns import Exclusion
from snapdir.model.source import SourceFile, identity_of

__all__ = ["MAX_CYCLE_ENTRIES", "Walk", "clean_path"]

MAX_CYCLE_ENTRIES = 100_000
"""Entries met below a link that leads back to one of its own parents: one cycle through 40 levels stays below."""

_BROKEN_LINK_ERRNOS = (errno.ENOENT, errno.ELOOP)


def clean_path(path: str | os.PathLike[str]) -> str:
    """Absolute, without ``.``, doubled and trailing slashes; ``..`` and links stay. Empty is the current directory."""
    return "/" + str(Path(path).absolute()).strip("/")


class _Directory(NamedTuple):
    """A directory still to be read.

    Attributes:
        file: The path that opens it.
        path: Its path in the manifest.
        parents: (device, inode) of it and of every directory above it.
        cycle: The link above it that led back to one of its own parents; empty without one.
    """

    file: str
    path: str
    parents: tuple[tuple[int, int], ...]
    cycle: str

    def below(self, file: str, path: str, status: os.stat_result, *, linked: bool) -> _Directory:
        here = (status.st_dev, status.st_ino)
        return _Directory(file, path, (*self.parents, here), file if linked and here in self.parents else self.cycle)


class Walk:
    """The files of one tree, in the order the filesystem gives them; iterate once.

    ``directory_modes`` (octal text by manifest path) fills on the way and is complete when the iteration ends, and
    so is ``followed_files``, the number of links to files. Links that ``linked`` takes are not among the files. Cost:
    2.9 µs a file (scandir and lstat).

    Raises (when iterated):
        LocalError: the root is missing or no directory.
        WalkFailed: some directories or links cannot be read; raised at the end, naming all of them.
        UnsafeName: a name that no manifest line can carry.
        InFluxError: an entry vanished, or a cycle of links does not end.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        follow: bool = True,
        absolute: bool = False,
        excluded: Exclusion | None = None,
        linked: LinkedObjects | None = None,
    ) -> None:
        self.root = clean_path(root)
        self.directory_modes: dict[str, str] = {}
        self.followed_files = 0
        self._follow = follow
        self._excluded = excluded
        self._linked = linked
        self._manifest_root = self.root.rstrip("/") + "/" if absolute else "./"
        self._failures: list[tuple[str, str]] = []
        self._cycle_entries = 0
        self._pending: list[_Directory] = []

    def __iter__(self) -> Iterator[SourceFile]:
        root_status = self._root_status()
        here = ((root_status.st_dev, root_status.st_ino),)
        # A stack instead of recursion, which a deep tree would exhaust.
        self._pending = [_Directory(self.root, self._manifest_root, here, "")]
        while self._pending:
            yield from self._files_of(self._pending.pop())
        if self._failures:
            raise WalkFailed(self._failures)

    def _files_of(self, directory: _Directory) -> Iterator[SourceFile]:
        """The files directly in a directory; the directories in it are left pending."""
        unfiltered = self._excluded is None
        for entry in self._listing(directory.file):
            name = entry.name
            path = directory.path + name
            # Printable means: no newline, no CR, valid UTF-8. One C call settles nearly every name.
            if not (unfiltered and name.isprintable()) and self._is_left_out(name, entry.path, path):
                continue
            status = link_status = self._status(entry)
            if status is not None and S_ISLNK(status.st_mode):
                status = self._target_status(entry.path) if self._follow else None
            if status is None or link_status is None:
                continue
            if directory.cycle:
                self._count_cycle(directory.cycle)
            mode = f"{link_status.st_mode & 0o7777:o}"
            if S_ISREG(status.st_mode):
                if status is not link_status:
                    self.followed_files += 1
                    if self._linked is not None and self._linked.take(entry.path, path, mode, link_status.st_size):
                        continue
                yield SourceFile(path, entry.path, mode, link_status.st_size, identity_of(status))
            elif S_ISDIR(status.st_mode):
                self.directory_modes[path + "/"] = mode
                self._pending.append(directory.below(entry.path, path + "/", status, linked=status is not link_status))

    def _root_status(self) -> os.stat_result:
        try:
            status = os.stat(self.root)
            # The root line has the mode of the root as it was named: a link's own mode for a link.
            self.directory_modes[self._manifest_root] = f"{os.lstat(self.root).st_mode & 0o7777:o}"
        except OSError as error:
            raise local_error(error, self.root) from error
        if not S_ISDIR(status.st_mode):
            raise LocalError(self.root, "walk root is not a directory", errno=errno.ENOTDIR)
        return status

    def _listing(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                return list(entries)
        except OSError as error:
            self._note(error, directory)
            return []

    def _is_left_out(self, name: str, file: str, path: str) -> bool:
        plain = name.isascii() or _is_utf8(name)
        if self._excluded is not None:
            readable = file if plain else file.encode(errors="replace").decode()
            if self._excluded(readable, path if plain else path.encode(errors="replace").decode()):
                return True
        if not plain:
            raise UnsafeName(file, "the name is not valid UTF-8")
        if "\n" in name or name[-1] == "\r":
            raise UnsafeName(file, "the name has a newline or ends in a carriage return, which no manifest can carry")
        return False

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        try:
            return entry.stat(follow_symlinks=False)
        except OSError as error:
            self._note(error, entry.path)
            return None

    def _target_status(self, link: str) -> os.stat_result | None:
        try:
            return os.stat(link)
        except OSError as error:
            if error.errno not in _BROKEN_LINK_ERRNOS:
                self._note(error, link)
            elif self._linked is not None and self._linked.digest_of(link) is not None:
                self._failures.append((link, "it leads to an object that is no longer there; fetch the snapshot again"))
            return None

    def _note(self, error: OSError, path: str) -> None:
        if error.errno == errno.ENOENT:
            raise InFluxError(path, "vanished") from error
        self._failures.append((path, local_error(error, path).reason))

    def _count_cycle(self, link: str) -> None:
        self._cycle_entries += 1
        if self._cycle_entries > MAX_CYCLE_ENTRIES:
            raise LocalError(
                link,
                f"this link leads back to one of its own parents, and following it met {MAX_CYCLE_ENTRIES} entries"
                " without an end; remove it, leave it out with --exclude, or use --no-follow",
                errno=errno.ELOOP,
            )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
