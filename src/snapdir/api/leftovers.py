"""Paths in a destination that are not in the snapshot checked out there: a warning, or an error if they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snapdir.config import Config
from snapdir.errors import DestinationConflict, InvalidStore
from snapdir.stores.urls import StoreURL
from snapdir.transfer.engine.events import Counters

__all__ = ["own_directories", "report_leftovers"]

MAX_NAMED = 3
"""Paths that a warning names."""


def own_directories(config: Config, *stores: str | None) -> tuple[str, ...]:
    """The directories of the cache and of the stores on this host: a checkout leaves none of them over."""
    return (str(config.cache_dir.expanduser()), *_directories(stores))


def _directories(stores: tuple[str | None, ...]) -> Iterator[str]:
    for store in filter(None, stores):
        try:
            url = StoreURL.parse(store)
        except InvalidStore:
            continue  # a checkout does not open it
        if url.scheme == "file":
            yield str(url.path)


def report_leftovers(dest: Path, counters: Counters, *, whole: bool, strict: bool) -> None:
    """Warn of the paths in ``counters.extra``, if there are any.

    Args:
        whole: The snapshot was checked out as a whole, so that a mirror of it is possible.

    Raises:
        DestinationConflict: there are some, and ``strict``.
    """
    extra = counters.extra
    if not extra:
        return
    count, are, them = (f"{len(extra):,} paths", "are", "them") if len(extra) > 1 else ("1 path", "is", "it")
    remedy = f"{'' if whole else 'a checkout of the whole snapshot with '}--delete removes {them}"
    if strict:
        raise DestinationConflict(dest, f"{count} {are} not in the snapshot; {remedy}", paths=extra)
    more = ", …" if len(extra) > MAX_NAMED else ""
    named = ", ".join(extra[:MAX_NAMED]) + more
    counters.warnings.append(f"{count} in {dest} {are} not in the snapshot ({named}): {remedy}")
