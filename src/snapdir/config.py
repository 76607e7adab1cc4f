"""How the verbs run: one frozen value, filled from options and the environment by whoever calls the API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snapdir.stores.settings import StoreSettings
from snapdir.transfer.limits import Limits

__all__ = ["Config", "default_cache_dir"]


def default_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """``$SNAPDIR_CACHE_DIR``, else ``$XDG_CACHE_HOME/snapdir``, else ``~/.cache/snapdir``; an empty one is unset."""
    explicit = environment.get("SNAPDIR_CACHE_DIR")
    if explicit:
        return Path(explicit).expanduser()
    xdg = environment.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "snapdir"


@dataclass(frozen=True, slots=True)
class Config:
    """Where the cache is, and what stores and transfers may use.

    Attributes:
        cache_dir: A file store of its own: ``stage`` and ``fetch`` fill it, ``checkout`` reads it.
        stores: How stores are opened.
        limits: Bounds of one transfer.
        keyed_context: BLAKE3 derive-key context for file and directory checksums (``SNAPDIR_MANIFEST_CONTEXT``);
            such a manifest has an id but can be neither staged nor pushed.
    """

    cache_dir: Path = field(default_factory=default_cache_dir)
    stores: StoreSettings = field(default_factory=StoreSettings)
    limits: Limits = field(default_factory=Limits)
    keyed_context: str = ""
