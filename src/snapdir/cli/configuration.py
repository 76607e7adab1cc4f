"""How settings and the environment become a Config."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from snapdir.cli.parameters import choice, from_variable, switch
from snapdir.errors import InvalidOption, SnapdirError

if TYPE_CHECKING:
    from pathlib import Path

    from snapdir.config import Config

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

OPTIONS = (
    "acl",
    "adaptive",
    "catalog",
    "jobs",
    "max_jobs",
    "max_requests",
    "max_retries",
    "memory",
    "min_rate",
    "no_sign_request",
    "part_size",
    "max_manifest_size",
    "request_payer",
    "retry_base_ms",
    "retry_max_ms",
    "sse",
    "sse_kms_key_id",
    "stall_timeout",
    "storage_class",
    "walk_jobs",
)
"""Settings that ``Config.with_options`` takes as they are."""

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
    VERIFY_COPIES: "1 reads small local copies back, too, before they get their names, and hashes what the links of a "
    "tree lead to.",
}


def config_from(settings: Mapping[str, Any], variables: Collection[str]) -> Config:
    """The Config for what was given; ``variables`` are those without a flag that this verb reads.

    Raises:
        InvalidOption: a variable has a bad value.
        SnapdirError: there is no cache directory because there is no home.
    """
    from snapdir.config import Config

    rate = settings.get("limit_rate")
    config = Config(
        cache_dir=cache_directory(settings),
        shared_catalog=settings.get("shared_catalog", True),
        keyed_context=_variable(KEYED_CONTEXT, _context, variables) or "",
    )
    return config.with_options(
        **{name: settings[name] for name in OPTIONS if name in settings},
        limit_rate=None if rate is None else rate.size_bytes or 0,
        fsync=_variable(FSYNC, _fsync, variables),
        clone=_variable(CLONEFILE, switch, variables),
        verify_copies=_variable(VERIFY_COPIES, switch, variables),
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
