"""What a verb works on (store, snapshot, directory), and the words when one is missing or of no use."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from snapdir.config import Config
from snapdir.errors import DestinationConflict, InvalidStore, LocalError, SnapdirError
from snapdir.model.digest import Digest
from snapdir.stores.urls import StoreURL

__all__ = [
    "automatic_jobs",
    "check_store",
    "destination",
    "exclusions",
    "fetched_id",
    "is_remote",
    "required_id",
    "required_store",
]

NO_ID = "missing --id option"

_HAS_SCHEME = re.compile(r"[a-z0-9]+:").match
# A comma inside a repetition such as a{1,2} separates nothing.
_SEPARATOR = re.compile(r",(?![0-9]*\})")


def required_store(store: str | None) -> str:
    """``store``, read once so that a misspelt one is told before any work.

    Raises:
        SnapdirError: there is none, or it is no URI.
    """
    if store is None:
        raise _no_store()
    return check_store(store)


def _no_store() -> SnapdirError:
    from snapdir.transfer.fetch import NO_STORE

    return SnapdirError(NO_STORE)


def check_store(store: str) -> str:
    try:
        StoreURL.parse(store)
    except InvalidStore as error:
        if _HAS_SCHEME(store):
            raise
        raise SnapdirError(
            f"invalid store protocol: '{store}': expected a URI like file:///path or s3://bucket/prefix, "
            "or a path like ./store"
        ) from error
    return store


def is_remote(store: str) -> bool:
    try:
        return StoreURL.parse(store).scheme != "file"
    except InvalidStore:
        return False


def automatic_jobs(store: str | None) -> int:
    """Requests in flight when nobody says a number."""
    from snapdir.stores.base import Capabilities

    if store is not None and is_remote(store):
        return Capabilities().max_concurrency
    return max(1, min(16, os.cpu_count() or 1))


def required_id(snapshot_id: str | None) -> Digest:
    """
    Raises:
        SnapdirError: there is none.
        InvalidId: it is not 64 hexadecimal digits.
    """
    if snapshot_id is None:
        raise SnapdirError(NO_ID)
    return Digest(snapshot_id)


def fetched_id(store: str | None, snapshot_id: str | None) -> Digest:
    """The id of a snapshot to fetch from ``store``, which is only needed if the cache is incomplete.

    Raises:
        SnapdirError: neither is given, or no id, or ``store`` is no URI.
    """
    if store is not None:
        check_store(store)
    elif snapshot_id is None:
        raise _no_store()
    return required_id(snapshot_id)


def destination(path: str | None, *, force: bool) -> str:
    """Where to write: ``path``, else the current directory if it is empty or ``force`` is given.

    Raises:
        DestinationConflict: the current directory is not empty; nobody meant to mix a snapshot into it.
    """
    if path is not None:
        return path
    from snapdir.disk.destination import STAGING_NAME

    try:
        taken = sorted(name for name in os.listdir(".") if name != STAGING_NAME)
    except OSError as error:
        raise LocalError(".", error.strerror or str(error), errno=error.errno) from error
    if taken and not force:
        raise DestinationConflict(
            os.getcwd(),
            "the current directory is not empty; name a directory or pass --force; it holds",
            paths=taken[:3],
        )
    return "."


def exclusions(given: Sequence[str], *, no_follow: bool, config: Config) -> tuple[list[str], bool]:
    """The patterns of ``--exclude``, split and with their macros replaced, and whether links stay unfollowed."""
    patterns = []
    for pattern in filter(None, (piece for text in given for piece in _SEPARATOR.split(text))):
        expanded, wants_no_follow = _expand(pattern, config) if "%" in pattern else (pattern, False)
        patterns.append(expanded)
        no_follow = no_follow or wants_no_follow
    return patterns, no_follow


def _expand(pattern: str, config: Config) -> tuple[str, bool]:
    from snapdir.model.patterns import expand_macros

    return expand_macros(pattern, home=os.path.expanduser("~"), cache_dir=os.path.abspath(config.cache_dir))
