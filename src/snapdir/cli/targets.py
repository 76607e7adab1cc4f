"""What a verb works on (store, snapshot, directory), and the words when one is missing or of no use."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from snapdir.config import Config
from snapdir.errors import DestinationConflict, InvalidStore, LocalError, SnapdirError
from snapdir.model.digest import ID_DIGITS, Digest, is_hexadecimal
from snapdir.stores.urls import StoreURL, shown_store

__all__ = [
    "adaptive_ceiling",
    "concurrency",
    "destination",
    "exclusions",
    "is_remote",
    "is_same_store",
    "pool_of",
    "protections",
    "required_id",
    "required_store",
    "source_of",
    "store_url",
]

NO_ID = "missing --id option"

_HAS_SCHEME = re.compile(r"[a-z0-9]+:").match
# A comma inside a repetition such as a{1,2} separates nothing.
_SEPARATOR = re.compile(r",(?![0-9]*\})")


def required_store(store: str | None) -> str:
    """``store`` in its normal form, read before any work so that a misspelt one is told at once.

    Raises:
        SnapdirError: there is none, or it is no URI.
    """
    if store is None:
        from snapdir.transfer.fetch import NO_STORE

        raise SnapdirError(NO_STORE)
    return store_url(store)


def pool_of(objects_store: str | None, option: str = "--objects-store") -> str | None:
    """The pool that ``option`` names in its normal form, if there is one.

    Raises:
        SnapdirError: it is no URI.
    """
    return None if objects_store is None else store_url(objects_store, option)


def store_url(store: str, option: str = "") -> str:
    """``store``, as ``option`` names it, in its normal form.

    Raises:
        SnapdirError: it is no URI.
    """
    try:
        return str(StoreURL.parse(store))
    except InvalidStore as error:
        if _HAS_SCHEME(store):
            raise
        where = f"resolving {option}: " if option else ""
        raise SnapdirError(
            f"{where}invalid store protocol: '{shown_store(store)}': expected a URI like file:///path or "
            "s3://bucket/prefix, or a path like ./store"
        ) from error


def is_remote(store: str) -> bool:
    try:
        return StoreURL.parse(store).scheme != "file"
    except InvalidStore:
        return False


def is_same_store(first: str, second: str) -> bool:
    """Whether two URLs name one place, however they are spelled.

    Raises:
        InvalidStore: one of them is no URL.
    """
    one, other = StoreURL.parse(first), StoreURL.parse(second)
    if one.scheme == other.scheme == "file":
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    return one == other


def concurrency(jobs: int, store: str | None) -> str:
    """Requests in flight, in words; without a number from the user a store across a network finds its own."""
    if jobs:
        return str(jobs)
    if store is None or not is_remote(store):
        from snapdir.stores.file.store import DEFAULT_CONCURRENCY

        return str(DEFAULT_CONCURRENCY)
    from snapdir.stores.s3.store import DEFAULT_CONCURRENCY

    return f"up to {DEFAULT_CONCURRENCY}"


def adaptive_ceiling(store: str | None) -> int:
    """Requests in flight at most where they adapt and no option gives a number."""
    from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS

    if store is None or not is_remote(store):
        from snapdir.stores.file.store import DEFAULT_CONCURRENCY

        return DEFAULT_CONCURRENCY
    return MAX_ADAPTIVE_REQUESTS


def required_id(snapshot_id: str | None, path: str | None = None) -> Digest:
    """
    Args:
        path: What was given for a directory.

    Raises:
        SnapdirError: there is none.
        InvalidId: it is not 64 hexadecimal digits.
    """
    if snapshot_id is None:
        mistaken = path is not None and len(path) == ID_DIGITS and is_hexadecimal(path)
        raise SnapdirError(f"{NO_ID}: write --id {path}" if mistaken else NO_ID)
    return Digest(snapshot_id)


def source_of(store: str | None, snapshot_id: str | None) -> str | None:
    """The store in its normal form; a complete cache needs none, so that None may do where an id is given.

    Raises:
        SnapdirError: neither is given, or ``store`` is no URI.
    """
    return required_store(store) if store is not None or snapshot_id is None else None


def destination(path: str | None, *, force: bool) -> str:
    """Where to write: ``path``, else the current directory if it is empty or ``force`` is given.

    Raises:
        DestinationConflict: the current directory is not empty, and ``force`` is not given.
    """
    if path is not None:
        return path
    from snapdir.disk.staging import STAGING_NAME

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


def protections(given: Sequence[str], *, delete: bool) -> tuple[Sequence[str], list[str]]:
    """What ``--exclude`` means: globs of what to leave out, or with ``--delete`` patterns of what to leave alone."""
    if not delete:
        return given, []
    return (), [piece for text in given for piece in _SEPARATOR.split(text) if piece]


def _expand(pattern: str, config: Config) -> tuple[str, bool]:
    from snapdir.model.patterns import expand_macros

    return expand_macros(pattern, home=os.path.expanduser("~"), cache_dir=os.path.abspath(config.cache_dir))
