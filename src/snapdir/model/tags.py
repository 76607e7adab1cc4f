"""Names of snapshots: what may be one, and the text of the object at ``.refs/NAME``. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from snapdir.errors import InvalidId, InvalidTag
from snapdir.model.digest import SnapshotId, is_hexadecimal

LATEST = "latest"
"""The newest push of a store: reserved, never stored."""

NONE = "none"
"""What ``tag`` expects of a name that is new: reserved, too."""

MAX_NAME_CHARACTERS = 255
MAX_TAG_BYTES = 2048
"""More than the longest text."""

NOTHING = "-"

_CHARACTERS = re.compile(r"[A-Za-z0-9._/-]+").fullmatch
_TEXT = re.compile(
    r"snapdir-ref 1\n"
    r"id ([0-9a-f]{64}|-)\n"
    r"sequence ([1-9][0-9]{0,9})\n"
    r"previous ([0-9a-f]{64}|-)\n"
    r"time ([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3})\n"
    r"by ([!-~]{1,512})\n"
    r"token ([0-9a-f]{32})\n",
    re.ASCII,
).fullmatch


class Tag(NamedTuple):
    """One value of a name.

    Attributes:
        id: The snapshot; None if the name was deleted.
        sequence: 1 for the first value, and one more for each change, deletions included.
        previous: The snapshot before this change; None if there was none.
        created_at: When it was set, by the clock of the writer, in UTC: ``YYYY-MM-DD HH:MM:SS.mmm``.
        by: Who set it: ``user@host``.
        token: Random, so that no two texts are equal.
    """

    name: str
    id: str | None
    sequence: int
    previous: str | None
    created_at: str
    by: str
    token: str

    @property
    def stored(self) -> bytes:
        """The text of the object."""
        return (
            f"snapdir-ref 1\nid {self.id or NOTHING}\nsequence {self.sequence}\nprevious {self.previous or NOTHING}\n"
            f"time {self.created_at}\nby {self.by}\ntoken {self.token}\n"
        ).encode()


def parse_tag(name: str, stored: bytes, where: str) -> Tag:
    """The tag in ``stored``, which is not trusted.

    Args:
        where: The object in messages.

    Raises:
        InvalidTag: It has another form, or is longer than a tag.
    """
    matched = _TEXT(stored.decode("latin-1")) if len(stored) <= MAX_TAG_BYTES else None
    if matched is None:
        raise InvalidTag(name, where)
    id_, sequence, previous, created_at, by, token = matched.groups()
    return Tag(name, _id(id_), int(sequence), _id(previous), created_at, by, token)


def _id(text: str) -> str | None:
    return None if text == NOTHING else SnapshotId(text)


def newest_push(labels: Mapping[str, str]) -> str:
    """What ``latest`` means, in words: among the pushes that have all of ``labels``."""
    wanted = " and ".join(f"{key}={value}" for key, value in labels.items())
    return f"the newest push with {wanted}" if wanted else "the newest push"


def is_name(text: str) -> bool:
    """Whether ``text`` may stand for a snapshot: a name, or ``latest``."""
    return text == LATEST or not _flaw(text)


def checked_name(text: str) -> str:
    """``text``, checked to be a name that can be set.

    Raises:
        InvalidId: It is not.
    """
    flaw = _flaw(text)
    if flaw:
        raise InvalidId(text[: MAX_NAME_CHARACTERS + 1], flaw, what="name")
    return text


def _flaw(text: str) -> str:
    """Why ``text`` cannot be a name; empty if it can."""
    if not isinstance(text, str):
        raise TypeError(f"an id or a name is a str, not {type(text).__name__}")
    parts = text.split("/")
    flaws = {
        f"has {len(text)} characters; a name has 1 to {MAX_NAME_CHARACTERS}": not 1 <= len(text) <= MAX_NAME_CHARACTERS,
        "has other characters than ASCII letters, digits, and the four . _ - /": not _CHARACTERS(text),
        "begins with -, as an option does": text.startswith("-"),
        "has an empty part, or one that begins with a dot, between its slashes": any(
            part == "" or part.startswith(".") for part in parts
        ),
        "has hexadecimal digits only, as an id has: add another letter, such as v": is_hexadecimal(text),
        "is reserved: it always means the newest push of a store": text == LATEST,
        "is reserved: tag --expect none means that there is no such name": text == NONE,
    }
    return next((flaw for flaw, applies in flaws.items() if applies), "")
