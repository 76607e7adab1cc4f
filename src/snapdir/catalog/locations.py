"""The file of a catalog, and the spelling of the locations in its records."""

from __future__ import annotations

import os
from pathlib import Path

from snapdir.errors import InvalidStore
from snapdir.stores.urls import StoreURL

DEFAULT_CATALOG = "default"
DISABLED = ("", "none")
SUFFIX = "-catalog.sqlite3"


def catalog_file(selection: str, cache_dir: Path) -> Path | None:
    """The file of the catalog called ``selection``: None for ``none`` or empty; text with a slash is a path, and
    any other word is a name in the cache directory. The default is called ``default``.
    """
    if selection in DISABLED:
        return None
    if "/" in selection:
        return Path(selection).expanduser().absolute()
    return cache_dir / f"{selection}{SUFFIX}"


def store_location(store: StoreURL) -> str:
    """The URL of a store in its normal form, without credentials, because other users read the records."""
    return _written(store.without_credentials)


def directory_location(path: str) -> str:
    """The absolute directory, without ``.``, ``..`` and a final slash; links in it stay."""
    return _written(os.path.normpath(Path(path).absolute()))


def possible_locations(place: str | os.PathLike[str]) -> tuple[str, ...]:
    """The locations that ``place`` may stand for: a store by its URL; a directory, or the store in it, by a path."""
    text = os.fspath(place)
    if ":" not in text.partition("/")[0]:
        path = directory_location(os.path.expanduser(text))
        return (store_location(StoreURL("file", path)), path)
    try:
        return (store_location(StoreURL.parse(text)),)
    except InvalidStore:
        return (_written(text),)


def _written(location: str) -> str:
    """``location`` as Unicode text: bytes of a path that are not UTF-8 are escaped."""
    return location.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
