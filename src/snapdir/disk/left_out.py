"""Entries of a tree that are not in its snapshot, with the reasons."""

from __future__ import annotations

from stat import S_ISBLK, S_ISCHR, S_ISFIFO, S_ISSOCK

BROKEN_LINK = "broken link"
EXCLUDED = "excluded"
IGNORED = "ignored"
"""Left out on purpose: counted, and no part of the warning."""
LINK = "link not followed"
OWN_TEMPORARY = "temporary of a pull"

MAX_KEPT = 100_000
"""Entries listed by path; further ones are only counted. About 20 MiB."""
SHOWN = 5


class LeftOut:
    """The entries that a walk left out. An excluded directory counts once: it is not read.

    Attributes:
        entries: (path in the manifest, reason) in the order of the walk, the first MAX_KEPT.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, path: str, reason: str) -> None:
        if len(self.entries) < MAX_KEPT:
            self.entries.append((path, reason))
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if self._counts[reason] <= SHOWN:
            self._first.setdefault(reason, []).append(path)

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    @property
    def ignored(self) -> int:
        """Entries that rules to ignore leave out."""
        return self._counts.get(IGNORED, 0)

    def sentence(self, root: str) -> str:
        """One line that counts the others by reason and names the first five of each; empty without any."""
        reasons = [reason for reason in self._counts if reason != IGNORED]
        if not reasons:
            return ""
        total = sum(map(self._counts.__getitem__, reasons))
        counted = f"1 entry of {root} was" if total == 1 else f"{total:,} entries of {root} were"
        return f"{counted} left out: " + ", ".join(map(self._group, reasons))

    def _group(self, reason: str) -> str:
        count = self._counts[reason]
        names = ", ".join(self._first[reason]) + (", …" if count > SHOWN else "")
        return f"{count:,} {reason if count == 1 else _plural(reason)} ({names})"


def special_file(mode: int, *, linked: bool) -> str:
    """The reason for a file that is neither regular nor a directory; ``linked`` if a link leads to it."""
    if S_ISFIFO(mode):
        kind = "FIFO"
    elif S_ISSOCK(mode):
        kind = "socket"
    else:
        kind = "device" if S_ISCHR(mode) or S_ISBLK(mode) else "special file"
    return f"link to a {kind}" if linked else kind


def _plural(reason: str) -> str:
    if reason in (EXCLUDED, OWN_TEMPORARY):
        return reason.replace("temporary", "temporaries")
    return reason.replace("link", "links", 1) if "link" in reason else f"{reason}s"
