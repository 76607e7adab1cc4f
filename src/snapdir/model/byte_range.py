"""A range of the bytes of a file, as HTTP and ``curl -r`` write it. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from snapdir.errors import InvalidOption, SnapdirError

_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})").fullmatch


class ByteRange(NamedTuple):
    """The bytes from ``start``, which is negative if it counts from the end, up to but without ``stop``."""

    start: int = 0
    stop: int | None = None

    @classmethod
    def parse(cls, text: str, source: str = "range") -> ByteRange:
        """``0-99`` (the first 100 bytes), ``100-`` (all after those) or ``-100`` (the last 100).

        Raises:
            InvalidOption: none of these; the message names ``source``.
        """
        if not isinstance(text, str):
            raise TypeError(f"{source} is a str such as '0-99', not {type(text).__name__}")
        match = _RANGE(text)
        first, last = match.groups() if match else ("", "")
        if first and (not last or int(first) <= int(last)):
            return cls(int(first), int(last) + 1 if last else None)
        if last and not first and int(last):
            return cls(-int(last))
        raise InvalidOption(
            f"invalid {source} '{text}': expected FIRST-LAST, FIRST- or -LENGTH in bytes, such as 0-99, 100- or -100"
        )

    def within(self, size: int, path: str) -> tuple[int, int]:
        """The first byte and the end of the range in a file of ``size`` bytes.

        Raises:
            SnapdirError: it begins after the end of the file.
        """
        if self.start > size:
            raise SnapdirError(f"the range begins at byte {self.start:,}, and {path} has {size:,} bytes")
        start, stop, _ = slice(self.start, self.stop).indices(size)
        return start, stop
