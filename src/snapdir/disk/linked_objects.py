"""Links that lead to an object of a local store: their text says what the content hashes to. Blocking."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from snapdir.disk.long_paths import read_link
from snapdir.errors import CorruptObject, InFluxError, source_error
from snapdir.model.digest import Digest
from snapdir.model.entry import FILE, Entry
from snapdir.model.keys import OBJECTS, digest_of_key

__all__ = ["LinkedObjects", "link_text"]


def link_text(link: str) -> str:
    """What a link that a listing has shown says.

    Raises:
        InFluxError: it is gone, or something else has its name.
    """
    try:
        return read_link(link)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise InFluxError(link) from error
        raise source_error(error, link) from error


class LinkedObjects:
    """What a walk finds of a linked tree.

    Args:
        roots: Directories of stores. A link leads into one if its text begins so and goes on as keys do.
        trusted: Believe the text; the content is not read then. Otherwise it is hashed, and has to agree.

    Attributes:
        entries: The files that were believed.
    """

    def __init__(self, roots: Iterable[str], *, trusted: bool) -> None:
        spellings = {spelling for root in roots for spelling in (os.path.abspath(root), os.path.realpath(root))}
        self._prefixes = tuple(f"{root.rstrip('/')}/" for root in spellings)
        self._trusted = trusted
        self._expected: dict[str, tuple[Digest, str]] = {}
        self.entries: list[Entry] = []

    def digest_of(self, link: str) -> Digest | None:
        """What the object at the end of a link is called; None for any other link."""
        text = link_text(link)
        for prefix in self._prefixes:
            if text.startswith(prefix):
                return digest_of_key(text.removeprefix(prefix), OBJECTS)
        return None

    def take(self, link: str, path: str, mode: str, size: int) -> bool:
        """Whether nobody needs to read a link to a file: then ``entries`` has it."""
        digest = self.digest_of(link)
        if digest is None:
            return False
        if self._trusted:
            self.entries.append(Entry(FILE, mode, digest, size, path))
        else:
            self._expected[path] = (digest, link)
        return self._trusted

    def check(self, entries: Iterable[Entry]) -> None:
        """Compare what was hashed with what the links said.

        Raises:
            CorruptObject: an object is not what it is called.
        """
        if not self._expected:
            return
        for entry in entries:
            expected = self._expected.get(entry.path)
            if expected is not None and entry.checksum != expected[0]:
                where = f"{expected[1]}, a link to the object"
                raise CorruptObject(where, expected=expected[0], actual=entry.checksum)
