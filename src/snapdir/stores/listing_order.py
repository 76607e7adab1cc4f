"""Whether a store lists its keys in order, as one page shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from snapdir.stores.base import ObjectInfo

__all__ = ["TELLING_KEYS", "shows_order"]

TELLING_KEYS = 100
"""A page of so many keys is in order by more than chance."""


def shows_order(page: Sequence[ObjectInfo]) -> bool:
    """Whether a page shows that its store lists keys in the order of their bytes."""
    return len(page) >= TELLING_KEYS and all(one.key < other.key for one, other in pairwise(page))
