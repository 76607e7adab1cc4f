"""Emptying a cache, and only a cache. Blocking."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from snapdir.errors import LocalError, local_errors
from snapdir.model.keys import CHECKOUTS, ENDPOINTS, INCOMPLETE, INDEX, KNOWN, MANIFESTS, OBJECTS, PARTIAL, UPLOADS

CONTENTS = (
    OBJECTS.rstrip("/"),
    MANIFESTS.rstrip("/"),
    INCOMPLETE.rstrip("/"),
    PARTIAL,
    KNOWN,
    UPLOADS,
    ENDPOINTS,
    INDEX,
)
"""The contents of a cache. Other files in its directory, such as a catalog or notes about checkouts, stay."""

SIGNS = (*CONTENTS, CHECKOUTS)

CATALOGS = ("-catalog.redb", "-catalog.sqlite3")
"""Endings of catalog files: a directory with a catalog is a cache, even an empty one."""


def flush(cache_dir: Path, *, dry_run: bool = False) -> None:
    """Remove the cache's contents; a missing or empty directory is fine.

    Raises:
        LocalError: the directory is not empty, and nothing in it is from a cache.
    """
    with local_errors(cache_dir):
        if not cache_dir.exists():
            return
        names = os.listdir(cache_dir)
    if names and not any(name in SIGNS or name.endswith(CATALOGS) for name in names):
        raise LocalError(cache_dir, "not a snapdir cache; nothing was removed: check --cache-dir")
    for name in CONTENTS:
        if name in names and not dry_run:
            _remove(cache_dir / name)


def _remove(path: Path) -> None:
    with local_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
