"""Find the files and directories of a tree: which are listed, followed or left out, as in the reference."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import NamedTuple, TypeVar

from snapdir.disk.left_out import BROKEN_LINK, EXCLUDED, IGNORED, LINK, OWN_TEMPORARY, LeftOut, special_file
from snapdir.disk.linked_objects import LinkedObjects, link_text
from snapdir.disk.listing import EMPTY, STATE, Listing, listing_of
from snapdir.disk.long_paths import open_file, status_of
from snapdir.disk.own_locations import OwnLocations
from snapdir.errors import InFluxError, LocalError, SnapdirError, UnsafeName, WalkFailed, local_error, source_error
from snapdir.model.ignoring import IgnoreRules
from snapdir.model.names import NAMES_ARE_UTF8, name_for_pattern, name_in_utf8, name_on_system
from snapdir.model.paths import STAGING_NAME, flaw_of_length, flaw_of_name, is_temporary_beside
from snapdir.model.patterns import Exclusion
from snapdir.model.source import SourceFile, identity_of

MAX_CYCLE_ENTRIES = 100_000
"""Entries met below a link that leads back to one of its own parents: one cycle through 40 levels stays below."""

NEAR_CHARACTERS = 750
"""Below a directory path of this length, the paths of its entries are short enough for any call."""

MAX_STAT_TRIES = 10
"""Look-ups of a path before "too many links" is believed."""

_LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

Result = TypeVar("Result")
_BROKEN_LINK_ERRNOS = (errno.ENOENT, errno.ELOOP)

_SHORT_NAME_CHARACTERS = 63
"""No UTF-8 of so few characters is longer than a name may be."""


def clean_path(path: str | os.PathLike[str]) -> str:
    """Absolute, without ``.``, doubled and trailing slashes; ``..`` and links stay. Empty is the current directory."""
    return "/" + str(Path(path).absolute()).strip("/")


class FoundDirectory(NamedTuple):
    """A directory of the tree.

    Attributes:
        file: The path that opens it.
        path: Its path in the manifest, which ends with a slash.
        mode: Octal text for the manifest.
        parents: (device, inode) of it and of every directory above it.
        cycle: The link above it that led back to one of its own parents; empty without one.
    """

    file: str
    path: str
    mode: str
    parents: tuple[tuple[int, int], ...]
    cycle: str

    def below(self, file: str, path: str, mode: int, key: tuple[int, int], *, linked: bool) -> FoundDirectory:
        cycle = file if linked and key in self.parents else self.cycle
        return FoundDirectory(file, path + "/", f"{mode & 0o7777:o}", (*self.parents, key), cycle)


_path_of = attrgetter("path")


class Walk:
    """The files of one tree, directory by directory, in the order of their paths; iterate once.

    Links that ``linked`` takes are not among the files. Cost: 4 µs per file, 2.5 of it in scandir and lstat.

    Args:
        dereference: List a followed link with the mode and size of what it leads to; otherwise with its own, as the
            reference does.
        ignored: Entries to leave out, of which only the number matters. An ignored directory is not read.

    Attributes:
        directory_modes: Octal text by manifest path. Like the other attributes, it is complete when the iteration ends.
        followed_files, followed_directories: Numbers of links to either that were followed.
        left_out: Every other entry. The temporaries of a pull are left out unread: a running pull removes
            them at any moment.
        has_long_paths: Some paths of files may be too long for one call: see ``long_paths``.

    Raises (when iterated):
        LocalError: the root is missing or no directory.
        SnapdirError: an exclude pattern fits the path of the root.
        WalkFailed: some directories or links cannot be read; raised at the end, naming all of them.
        UnsafeName: a name that does not fit into a manifest line, or that a checkout cannot write.
        InFluxError: an entry vanished, or a cycle of links does not end.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        follow: bool = True,
        absolute: bool = False,
        dereference: bool = False,
        excluded: Exclusion | None = None,
        ignored: IgnoreRules | None = None,
        linked: LinkedObjects | None = None,
        own_locations: OwnLocations | None = None,
    ) -> None:
        self.root = clean_path(root)
        self.directory_modes: dict[str, str] = {}
        self.followed_files = self.followed_directories = 0
        self.left_out = LeftOut()
        self.has_long_paths = False
        self._follow = follow
        self._dereference = dereference
        self._excluded = excluded
        self._ignored = ignored
        self._linked = linked
        self._own_locations = own_locations or OwnLocations(())
        self._manifest_root = name_in_utf8(self.root).rstrip("/") + "/" if absolute else "./"
        self._failures: list[tuple[str, str]] = []
        self._cycle_entries = 0
        self._root_mode = ""
        self._pending: list[FoundDirectory] = []

    def __iter__(self) -> Iterator[SourceFile]:
        for found in self.directories():
            yield from self.files_of(found, self.listing(found))

    def directories(self) -> Iterator[FoundDirectory]:
        """The directories of the tree in the order of their paths, each before what is in it.

        ``files_of`` finds the directories below one, and must have ended before the next step; or ``pass_over``.
        """
        root_status = self._root_status()
        if self._excluded is not None:
            self._excluded.require_outside(name_for_pattern(name_in_utf8(self.root)))
        here = (root_status.st_dev, root_status.st_ino)
        # A stack instead of recursion, which a deep tree would exhaust.
        self._pending = [FoundDirectory(self.root, self._manifest_root, self._root_mode, (here,), "")]
        while self._pending:
            directory = self._pending.pop()
            self._own_locations.enter(
                directory.parents[-1], directory.file, self._relative(directory.path), self._excluded, self._ignored
            )
            yield directory
        if self._failures:
            raise WalkFailed(self._failures)

    def require_something(self) -> None:
        """Make sure that excludes and rules to ignore have not left out every file.

        Raises:
            SnapdirError: the walk has ended and found nothing, because they leave out every file there is.
        """
        if len(self.directory_modes) > 1:
            return
        for path, reason in self.left_out.entries:
            if reason == EXCLUDED and self._excluded is not None and self._has_files(path):
                raise self._excluded.nothing_left(self.root)
            if reason == IGNORED and self._has_files(path):
                raise SnapdirError(f"nothing is left of {self.root}, which has files: --ignore leaves all of it out")

    def _has_files(self, path: str) -> bool:
        """Whether a path of the manifest is a file, or a directory with a readable file."""
        left_out = f"{self.root.rstrip('/')}/{name_on_system(path.removeprefix(self._manifest_root))}"
        if os.path.islink(left_out) and not self._follow:
            return False
        with suppress(SnapdirError):
            return os.path.isfile(left_out) or any(True for _ in Walk(left_out, follow=self._follow))
        return False

    def pass_over(self, directory: FoundDirectory, listing: Listing) -> None:
        """Find only the directories below one: it has nothing but files and directories, all of them listed."""
        folder = directory.file.rstrip("/") + "/"
        below: list[FoundDirectory] = []
        for index in listing.special:
            name = listing.names[index]
            mode, inode, device, *_ = STATE.unpack_from(listing.states, index * STATE.size)
            path = directory.path + (name if NAMES_ARE_UTF8 else name_in_utf8(name))
            below.append(directory.below(folder + name, path, mode, (device, inode), linked=False))
        self._enter_later(below)

    def files_of(self, directory: FoundDirectory, listing: Listing) -> Iterator[SourceFile]:
        """The files directly in a directory, in the order of their names."""
        unfiltered = self._excluded is None and self._ignored is None and len(directory.path) <= NEAR_CHARACTERS
        below: list[FoundDirectory] = []
        names = listing.names if NAMES_ARE_UTF8 else list(map(name_in_utf8, listing.names))
        folder = directory.file.rstrip("/") + "/"
        for index in sorted(range(len(names)), key=names.__getitem__):
            name = names[index]
            path, file = directory.path + name, folder + listing.names[index]
            mode, inode, device, size, mtime, ctime = STATE.unpack_from(listing.states, index * STATE.size)
            # Printable means: no newline, no CR, valid UTF-8. Three quick tests decide nearly every name.
            plain = name.isprintable() and name[0] != "." and len(name) <= _SHORT_NAME_CHARACTERS
            if not (plain and unfiltered) and self._is_left_out(file, name, path, mode):
                continue
            if directory.cycle:
                self._count_cycle(directory.cycle)
            if S_ISREG(mode):
                yield SourceFile(path, file, f"{mode & 0o7777:o}", size, (size, mtime, ctime, inode))
            elif S_ISDIR(mode):
                below.append(directory.below(file, path, mode, (device, inode), linked=False))
            elif not mode:
                self._note(listing.errors[listing.names[index]], file)
            elif S_ISLNK(mode):
                yield from self._behind_link(directory, file, path, (mode, size), below)
            else:
                self.left_out.add(path, special_file(mode, linked=False))
        self._enter_later(below)

    def _enter_later(self, below: list[FoundDirectory]) -> None:
        below.sort(key=_path_of, reverse=True)
        self._pending += below
        for each in below:
            self.directory_modes[each.path] = each.mode

    def _behind_link(
        self, directory: FoundDirectory, file: str, path: str, own: tuple[int, int], below: list[FoundDirectory]
    ) -> Iterator[SourceFile]:
        """What a link with the mode and size ``own`` leads to: a file, or a directory, which goes ``below``."""
        status = self._target_status(file, path)
        if status is None:
            return
        mode, size = (status.st_mode, status.st_size) if self._dereference else own
        if S_ISREG(status.st_mode):
            if not self._takes(file, path, f"{mode & 0o7777:o}", size):
                yield SourceFile(path, file, f"{mode & 0o7777:o}", size, identity_of(status))
        elif S_ISDIR(status.st_mode):
            self.followed_directories += 1
            below.append(directory.below(file, path, mode, (status.st_dev, status.st_ino), linked=True))
        else:
            self.left_out.add(path, special_file(status.st_mode, linked=True))

    def _root_status(self) -> os.stat_result:
        try:
            status = status_of(self.root)
            # The root line has the mode of the root as it was named: a link's own mode for a link.
            own_mode = status_of(self.root, follow_symlinks=self._dereference).st_mode
            self._root_mode = self.directory_modes[self._manifest_root] = f"{own_mode & 0o7777:o}"
        except OSError as error:
            raise local_error(error, self.root) from error
        if not S_ISDIR(status.st_mode):
            raise LocalError(
                self.root, "not a directory: snapdir takes a directory, with all files in it", errno=errno.ENOTDIR
            )
        return status

    def _relative(self, path: str) -> str:
        """The path inside the tree, also in an absolute manifest, for excludes that start with ``./``."""
        return "./" + path.removeprefix(self._manifest_root)

    def listing(self, found: FoundDirectory) -> Listing:
        """What is in a directory; nothing if it cannot be read, which the walk raises at its end."""
        directory = found.file
        self.has_long_paths = self.has_long_paths or len(directory) > NEAR_CHARACTERS
        try:
            # Relative to an open directory a look at an entry takes 0.35 µs less, and its path may have any length.
            descriptor = _steady(lambda path: open_file(path, _LIST_FLAGS), directory)
            try:
                with os.scandir(descriptor) as entries:
                    return listing_of(entries)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._note(error, directory)
            return EMPTY

    def _is_left_out(self, file: str, name: str, path: str, mode: int) -> bool:
        if self._excluded is not None and self._excluded(
            name_for_pattern(name_in_utf8(file)), name_for_pattern(self._relative(path))
        ):
            self.left_out.add(path, EXCLUDED)
            return True
        if self._ignored is not None and self._ignored(
            name_for_pattern(self._relative(_listed_path(file, path, mode)))
        ):
            self.left_out.add(path, IGNORED)
            return True
        is_staging = name == STAGING_NAME and path == self._manifest_root + name
        if is_staging or (is_temporary_beside(name) and not S_ISDIR(mode)):
            self.left_out.add(path, OWN_TEMPORARY)
            return True
        if flaw := flaw_of_name(name) or flaw_of_length(path):
            raise UnsafeName(file, flaw)
        return False

    def _target_status(self, link: str, path: str) -> os.stat_result | None:
        """The status of a link's target; None if the link is broken or cannot be read, or links are not followed."""
        if not self._follow:
            self.left_out.add(path, LINK)
            return None
        try:
            return _steady(status_of, link)
        except OSError as error:
            if error.errno not in _BROKEN_LINK_ERRNOS:
                self._failures.append((link, local_error(error, link).reason))
                return None
        link_text(link)  # an InFluxError if the link itself has vanished
        if self._linked is not None and self._linked.digest_of(link) is not None:
            self._failures.append(
                (link, "it links to an object that is missing from the cache; fetch the snapshot again")
            )
        else:
            self.left_out.add(path, BROKEN_LINK)
        return None

    def _takes(self, link: str, path: str, mode: str, size: int) -> bool:
        """Count a link to a file; True if its content need not be read."""
        self.followed_files += 1
        return self._linked is not None and self._linked.take(link, path, mode, size)

    def _note(self, error: OSError, path: str) -> None:
        failure = source_error(error, path)
        if isinstance(failure, InFluxError):
            raise failure from error
        self._failures.append((path, local_error(error, path).reason))

    def _count_cycle(self, link: str) -> None:
        self._cycle_entries += 1
        if self._cycle_entries > MAX_CYCLE_ENTRIES:
            raise LocalError(
                link,
                f"this link leads to one of its own parents, and following it gave more than {MAX_CYCLE_ENTRIES}"
                " entries; remove it, leave it out with --exclude, or use --no-follow",
                errno=errno.ELOOP,
            )


def _listed_path(file: str, path: str, mode: int) -> str:
    """``path`` with a slash at its end if it is a directory, or a link to one."""
    if S_ISLNK(mode):
        with suppress(OSError):
            mode = status_of(file).st_mode
    return f"{path}/" if S_ISDIR(mode) else path


def _steady(look_up: Callable[[str], Result], path: str) -> Result:
    """``look_up(path)``, repeated while it gives ELOOP, up to MAX_STAT_TRIES times.

    If a mount elsewhere makes Linux look a path up again, it counts the links of the first look-up too: ELOOP
    before the 40 that a path may have. The content of a snapshot must not depend on that.
    """
    for _ in range(MAX_STAT_TRIES - 1):
        try:
            return look_up(path)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
    return look_up(path)
