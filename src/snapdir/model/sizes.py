"""Sizes and rates as people write them: ``64MiB``, ``1.5M``, ``10mb``."""

from __future__ import annotations

import math
import re

from snapdir.errors import InvalidOption

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB
PIB = 1024 * TIB

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII).fullmatch
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_FACTORS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB, "p": PIB}


def parse_size(text: str, *, option: str = "size") -> int:
    """Bytes of ``text``: a number, fractions allowed, and an optional K, M, G, T or P (with i, B; 1024-based).

    Raises:
        InvalidOption: anything else; the message names ``option``.
    """
    matched = _SIZE(text.strip())
    if matched is None:
        raise InvalidOption(f"invalid {option} '{text}': expected a size, e.g. 512K, 64MiB or 1.5G")
    number, unit = matched.groups()
    return int(float(number) * _FACTORS[unit.lower()])


def parse_rate(text: str, *, option: str = "--limit-rate") -> int | None:
    """Bytes per second of ``text``; None (no limit) for 0.

    Raises:
        InvalidOption: not a rate.
    """
    matched = _SIZE(text.strip())
    if matched is None or matched[2].lower() in ("t", "p"):
        raise InvalidOption(f"invalid {option} '{text}': expected bytes per second, such as 10M, 512K or 1G")
    return parse_size(text, option=option) or None


def format_size(size_bytes: float) -> str:
    """``size_bytes`` with a 1024-based unit and at most four significant digits, e.g. ``1.50 GiB``."""
    if size_bytes < KIB:
        return f"{size_bytes:.0f} B"
    power = min(int(math.log(size_bytes, KIB)), len(_UNITS))
    scaled = size_bytes / KIB**power
    return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {_UNITS[power - 1]}"
