"""A page proves that a store lists in order only if chance is excluded."""

from __future__ import annotations

from snapdir.stores.base import ObjectInfo
from snapdir.stores.listing import TELLING_KEYS, shows_order


def test_few_keys_in_order_show_nothing() -> None:
    infos = [ObjectInfo(f"{number:04}", 1) for number in range(TELLING_KEYS)]
    assert shows_order(infos)
    assert not shows_order(infos[1:])
    assert not shows_order([*infos[1:], infos[0]])
