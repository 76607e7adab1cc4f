"""The order of keys in services that list by hash."""

from __future__ import annotations

from blake3 import blake3

__all__ = ["by_hash"]


def by_hash(key: str) -> str:
    """What such a service sorts a listing by."""
    return blake3(key.encode()).hexdigest()
