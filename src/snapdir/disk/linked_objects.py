"""Links to the objects of a local store: the text of the link gives the hash of the content. Blocking."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from snapdir.disk.long_paths import read_link
from snapdir.errors import CorruptObject, InFluxError, source_error
from snapdir.model.digest import Digest
from snapdir.model.entry import FILE, Entry
from snapdir.model.keys import OBJECTS, digest_of_key


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

    Attributes:
        entries: The files that were not read.
    """

    def __init__(self, roots: Iterable[str], *, trusted: bool) -> None:
        spellings = {spelling for root in roots for spelling in (os.path.abspath(root), os.path.realpath(root))}
        self._prefixes = tuple(f"{root.rstrip('/')}/" for root in spellings)
        self._trusted = trusted
        self._expected: dict[str, tuple[Digest, str]] = {}
        self.entries: list[Entry] = []

    def digest_of(self, link: str) -> Digest | None:
        """The digest of the object that a link leads to; None for any other link."""
        text = link_text(link)
        for prefix in self._prefixes:
            if text.startswith(prefix):
                return digest_of_key(text.removeprefix(prefix), OBJECTS)
        return None

    def take(self, link: str, path: str, mode: str, size: int) -> bool:
        """Whether the content of a link's target need not be read: then ``entries`` has it."""
        digest = self.digest_of(link)
        if digest is None:
            return False
        if self._trusted:
            self.entries.append(Entry(FILE, mode, digest, size, path))
        else:
            self._expected[path] = (digest, link)
        return self._trusted

    def check(self, entries: Iterable[Entry]) -> None:
        """Compare the hashes of the content with the texts of the links.

        Raises:
            CorruptObject: an object does not hash to its name.
        """
        if not self._expected:
            return
        for entry in entries:
            expected = self._expected.get(entry.path)
            if expected is not None and entry.checksum != expected[0]:
                where = f"{expected[1]}, a link to the object"
                raise CorruptObject(where, expected=expected[0], actual=entry.checksum)
