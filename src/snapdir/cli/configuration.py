"""How settings and the environment become a Config."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from snapdir.cli.parameters import choice, from_variable, switch
from snapdir.errors import InvalidOption, SnapdirError
from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from pathlib import Path

    from snapdir.config import Config
    from snapdir.stores.settings import StoreSettings
    from snapdir.transfer.limits import Limits

__all__ = [
    "CLONEFILE",
    "FSYNC",
    "KEYED_CONTEXT",
    "VARIABLES",
    "VERIFY_COPIES",
    "WRITING",
    "cache_directory",
    "config_from",
]

KEYED_CONTEXT = "SNAPDIR_MANIFEST_CONTEXT"
FSYNC = "SNAPDIR_FSYNC"
CLONEFILE = "SNAPDIR_CLONEFILE"
VERIFY_COPIES = "SNAPDIR_VERIFY_COPIES"
WRITING = (FSYNC, CLONEFILE, VERIFY_COPIES)
"""Variables without a flag, read by the verbs that write objects or files."""

VARIABLES = {
    KEYED_CONTEXT: "Context of keyed checksums; such a manifest can be named but not stored.",
    FSYNC: "batch (the default) flushes what was written before it is relied upon; off does not.",
    CLONEFILE: "0 copies bytes where the filesystem could share them.",
    VERIFY_COPIES: "1 hashes local copies, and the objects that links of a tree lead to, once more.",
}


def config_from(settings: Mapping[str, Any], variables: Collection[str]) -> Config:
    """The Config for what was given; ``variables`` are those without a flag that this verb reads.

    Raises:
        InvalidOption: a variable has a bad value.
        SnapdirError: there is no cache directory because there is no home.
    """
    from snapdir.config import Config

    cache_dir = cache_directory(settings)
    return Config(
        cache_dir=cache_dir,
        stores=_store_settings(settings, variables),
        limits=_limits(settings),
        catalog=_catalog(settings, cache_dir),
        shared_catalog=settings.get("shared_catalog", True),
        keyed_context=_variable(KEYED_CONTEXT, _context, variables) or "",
    )


def cache_directory(settings: Mapping[str, Any]) -> Path:
    """
    Raises:
        SnapdirError: none is given, and there is no home for one.
    """
    from snapdir.config import default_cache_dir

    try:
        return settings.get("cache_dir") or default_cache_dir()
    except RuntimeError as error:
        raise SnapdirError("there is no home directory for the cache: set HOME or SNAPDIR_CACHE_DIR") from error


def _catalog(settings: Mapping[str, Any], cache_dir: Path) -> Path | None:
    """The catalog that was chosen; none for a verb that has no such option, or was not told one it needs."""
    if "catalog" not in settings:
        return None
    from snapdir.catalog.places import catalog_file

    return catalog_file(settings["catalog"], cache_dir)


def _store_settings(settings: Mapping[str, Any], variables: Collection[str]) -> StoreSettings:
    from snapdir.config import requests_of
    from snapdir.stores.settings import RetryPolicy, StoreSettings

    attempts = settings.get("max_retries")
    retry = {
        "attempts": None if attempts is None else max(1, attempts),
        "base_seconds": _seconds(settings.get("retry_base_ms")),
        "max_seconds": _seconds(settings.get("retry_max_ms")),
    }
    rate = settings.get("limit_rate")
    given = {
        **requests_of(settings.get("jobs") or 0, settings.get("max_jobs") or 0, settings.get("adaptive")),
        "limit_rate_bytes": rate.size_bytes if rate else None,
        "max_requests_per_second": settings.get("max_requests") or None,
        "stall_timeout_seconds": settings.get("stall_timeout"),
        "fsync": _variable(FSYNC, _fsync, variables),
        "clone": _variable(CLONEFILE, switch, variables),
        "verify_copies": _variable(VERIFY_COPIES, switch, variables),
    }
    return StoreSettings(retry=RetryPolicy(**_known(retry)), **_known(given))


def _limits(settings: Mapping[str, Any]) -> Limits:
    from snapdir.transfer.limits import Limits

    given = {
        "jobs": None if "adaptive" in settings else settings.get("jobs"),
        "hash_threads": settings.get("walk_jobs"),
        "memory_bytes": settings.get("memory"),
        "part_bytes": settings.get("part_size"),
    }
    limits = Limits(**_known(given))
    if limits.memory_bytes < limits.part_bytes:
        raise InvalidOption(
            f"memory of {format_size(limits.memory_bytes)} cannot hold one part of {format_size(limits.part_bytes)}: "
            "raise --memory (SNAPDIR_MEMORY) or lower --part-size"
        )
    return limits


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _variable(name: str, parse: Any, variables: Collection[str]) -> Any:
    return from_variable(name, parse) if name in variables else None


def _fsync(value: str, source: str) -> bool:
    return bool(choice("batch", "off")(value, source) == "batch")


def _context(value: str, source: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidOption(f"invalid {source}: expected UTF-8 text") from error
    return value
