"""Values that are one of a few words."""

from __future__ import annotations

from collections.abc import Sequence

from snapdir.errors import InvalidOption


def listed(words: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def require_word(value: str, words: Sequence[str], name: str) -> str:
    """``value``, if it is one of ``words``.

    Raises:
        InvalidOption: it is not; the message calls it ``name``.
    """
    if value not in words:
        raise InvalidOption(f"invalid {name} {value[:80]!r}: expected {listed(words)}")
    return value
