"""One line of a manifest."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from snapdir.errors import InvalidId, LocalError
from snapdir.model.digest import EMPTY_DIGEST, Digest

FILE = "F"
DIRECTORY = "D"

MAX_MODE = 0o7777


class PathType(Enum):
    """The kind of a path. ``str()`` gives the bare word."""

    File = FILE
    Directory = DIRECTORY

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"PathType.{self.name}"


class Entry(NamedTuple):
    """One file or directory of a snapshot.

    ``mode`` and ``checksum`` are the manifest's own text (reading a manifest does not check them); ``permissions`` and
    ``digest`` are their checked values. ``size`` is in bytes. ``path`` starts with ``./`` (or ``/`` in an absolute
    manifest); a directory's ends with ``/``.
    """

    kind: str
    mode: str
    checksum: str
    size: int
    path: str

    @property
    def is_file(self) -> bool:
        return self.kind == FILE

    @property
    def path_type(self) -> PathType:
        return PathType(self.kind)

    @property
    def permissions(self) -> int:
        """``mode`` as a number, special bits included.

        Raises:
            LocalError: ``mode`` is not octal.
        """
        try:
            return permission_bits(self.mode)
        except LocalError as error:
            error.add_note(f"the mode of {self.path[:200]} in the manifest")
            raise

    @property
    def digest(self) -> Digest:
        """The checksum as the address of an object.

        Raises:
            InvalidId: the checksum is not 64 hex digits (a manifest made with another hash).
        """
        try:
            return Digest(self.checksum)
        except InvalidId as error:
            reason = f"of {self.path[:200]} names no object: the manifest was made with another --checksum-bin"
            raise InvalidId(self.checksum, reason, what="checksum") from error

    @property
    def certain_size(self) -> int | None:
        """The object's size in bytes; None if the manifest's size may differ from the content's.

        By the rules of the format, a followed link has mode 777 and the length of the link's text; a file of /proc has
        size 0 and content.
        """
        if self.mode == "777" or (self.size == 0 and self.checksum != EMPTY_DIGEST):
            return None
        return self.size

    @property
    def line(self) -> str:
        return f"{self.kind} {self.mode} {self.checksum} {self.size} {self.path}"


ManifestEntry = Entry
"""The public name."""


def permission_bits(mode: str) -> int:
    """Octal text of a manifest as permission bits; digits above the low twelve bits are dropped.

    Raises:
        LocalError: the text is not octal (a leading ``+`` is allowed, as in the reference).
    """
    digits = mode.removeprefix("+")
    if not digits or not all(digit in "01234567" for digit in digits):
        raise LocalError(mode, f'invalid permissions "{mode}"')
    return int(digits, 8) & MAX_MODE
