"""Emptying a cache, and only a cache. Blocking."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from snapdir.errors import LocalError, local_errors

__all__ = ["flush"]

CONTENTS = (".objects", ".manifests", ".incomplete", ".partial", ".known", ".uploads", ".endpoints")
"""What a cache is made of; anything else in its directory (a catalog, say, or notes about checkouts) stays."""

SIGNS = (*CONTENTS, ".checkouts")

CATALOGS = ("-catalog.redb", "-catalog.sqlite3")
"""What the files of catalogs end in: a directory with one is a cache, be it empty."""


def flush(cache_dir: Path, *, dry_run: bool = False) -> None:
    """Remove the cache's contents; a missing or empty directory is fine.

    Raises:
        LocalError: the directory holds things and none of them is a cache's: it is not one.
    """
    with local_errors(cache_dir):
        if not cache_dir.exists():
            return
        names = os.listdir(cache_dir)
    if names and not any(name in SIGNS or name.endswith(CATALOGS) for name in names):
        raise LocalError(cache_dir, "it does not look like a snapdir cache; nothing was removed (see --cache-dir)")
    for name in CONTENTS:
        if name in names and not dry_run:
            _remove(cache_dir / name)


def _remove(path: Path) -> None:
    with local_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
