"""Find the files and directories of a tree, in the reference's terms: what is listed, followed, left out."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

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


class Walk:
    """The files of one tree, in the order the filesystem gives them; iterate once.

    ``directory_modes`` (octal text by manifest path) fills on the way and is complete when the iteration ends, and
    so is ``followed_files``, the number of links to files. Cost: 2.4 µs a file (scandir and lstat).

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
    ) -> None:
        self.root = clean_path(root)
        self.directory_modes: dict[str, str] = {}
        self.followed_files = 0
        self._follow = follow
        self._excluded = excluded
        self._manifest_root = self.root.rstrip("/") + "/" if absolute else "./"
        self._failures: list[tuple[str, str]] = []
        self._cycle_entries = 0

    def __iter__(self) -> Iterator[SourceFile]:
        root_status = self._root_status()
        # A stack instead of recursion: (directory, its manifest path, (device, inode) of it and its parents).
        parents: tuple[tuple[int, int], ...] = ((root_status.st_dev, root_status.st_ino),)
        pending = [(self.root, self._manifest_root, parents, "")]
        while pending:
            directory, manifest_path, parents, cycle = pending.pop()
            for entry in self._listing(directory):
                path = manifest_path + entry.name
                file = entry.path
                if self._is_left_out(entry.name, file, path):
                    continue
                status = self._status(entry)
                if status is None:
                    continue
                mode = f"{status.st_mode & 0o7777:o}"
                size = status.st_size
                is_link = stat.S_ISLNK(status.st_mode)
                if is_link:
                    status = self._target_status(file) if self._follow else None
                    if status is None:
                        continue
                if cycle:
                    self._count_cycle(cycle)
                if stat.S_ISREG(status.st_mode):
                    self.followed_files += is_link
                    yield SourceFile(path, file, mode, size, identity_of(status))
                elif stat.S_ISDIR(status.st_mode):
                    self.directory_modes[path + "/"] = mode
                    here = (status.st_dev, status.st_ino)
                    below = file if is_link and here in parents else cycle
                    pending.append((file, path + "/", (*parents, here), below))
        if self._failures:
            raise WalkFailed(self._failures)

    def _root_status(self) -> os.stat_result:
        try:
            status = os.stat(self.root)
            # The root line has the mode of the root as it was named: a link's own mode for a link.
            self.directory_modes[self._manifest_root] = f"{os.lstat(self.root).st_mode & 0o7777:o}"
        except OSError as error:
            raise local_error(error, self.root) from error
        if not stat.S_ISDIR(status.st_mode):
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
