"""Links to the objects of a local store: the text of the link gives the hash of the content. Blocking."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from snapdir.disk.long_paths import read_link
from snapdir.errors import CorruptObject, InFluxError, source_error
from snapdir.model.digest import Digest
from snapdir.model.keys import OBJECTS, digest_of_key
from snapdir.model.source import HashedFile, SourceFile


def link_text(link: str) -> str:
    """The text of a link that a listing has shown.

    Raises:
        InFluxError: the link was removed or replaced.
    """
    try:
        return read_link(link)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise InFluxError(link) from error
        raise source_error(error, link) from error


class LinkedObjects:
    """The links of a tree that lead to objects.

    Args:
        roots: Directories of stores. A link leads into one if its text is such a directory and the key of an object.
        trusted: Believe the text, and do not read the content. Otherwise it is hashed, and has to agree.
    """

    def __init__(self, roots: Iterable[str], *, trusted: bool) -> None:
        spellings = {spelling for root in roots for spelling in (os.path.abspath(root), os.path.realpath(root))}
        self._prefixes = tuple(f"{root.rstrip('/')}/" for root in spellings)
        self._trusted = trusted
        self._expected: dict[str, tuple[Digest, str]] = {}
        self._wrong: CorruptObject | None = None
        self._unread: list[HashedFile] = []

    def digest_of(self, link: str) -> Digest | None:
        """The digest of the object that a link leads to; None for any other link."""
        text = link_text(link)
        for prefix in self._prefixes:
            if text.startswith(prefix):
                return digest_of_key(text.removeprefix(prefix), OBJECTS)
        return None

    def take(self, link: str, path: str, mode: str, size: int) -> bool:
        """Whether the content of a link's target need not be read: then ``take_unread`` has it."""
        digest = self.digest_of(link)
        if digest is None:
            return False
        if self._trusted:
            self._unread.append(HashedFile(SourceFile(path, link, mode, size, (0, 0, 0, 0)), digest))
        else:
            self._expected[path] = (digest, link)
        return self._trusted

    def take_unread(self) -> list[HashedFile]:
        """The files that were not read since the last call."""
        unread, self._unread = self._unread, []
        return unread

    def compare(self, path: str, checksum: str) -> None:
        """Compare the hash of a file's content with the text of the link, if it is such a link."""
        expected = self._expected.get(path)
        if expected is not None and checksum != expected[0]:
            where = f"{expected[1]}, a link to the object"
            self._wrong = self._wrong or CorruptObject(where, expected=expected[0], actual=checksum)

    @property
    def compares(self) -> bool:
        """Whether ``compare`` has anything to do."""
        return bool(self._expected)

    def check(self) -> None:
        """
        Raises:
            CorruptObject: an object does not hash to its name.
        """
        if self._wrong is not None:
            raise self._wrong
