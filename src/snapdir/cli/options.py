"""The groups of options that verbs share, and how they and the environment become a Config."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snapdir.cli.parameters import (
    Flag,
    Setting,
    Single,
    UniversalFlag,
    choice,
    from_variable,
    switch,
    text,
    whole_number,
)
from snapdir.errors import InvalidOption, SnapdirError
from snapdir.model.sizes import GIB, MIB, format_size, parse_size

if TYPE_CHECKING:
    from snapdir.config import Config
    from snapdir.stores.settings import StoreSettings
    from snapdir.transfer.limits import Limits

__all__ = [
    "accepted",
    "cache",
    "config_from",
    "dry_run",
    "engine",
    "path",
    "retries",
    "snapshot",
    "store",
    "walk",
    "writing",
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
    VERIFY_COPIES: "1 hashes local copies once more.",
}

SMALLEST_PART_BYTES = MIB
LARGEST_PART_BYTES = 5 * GIB


def path(metavar: str = "PATH") -> click.Argument:
    """The optional directory a verb works on."""
    return click.Argument(["path"], required=False, metavar=f"[{metavar}]")


def walk() -> list[Flag]:
    return [
        Flag(
            "--exclude",
            metavar="<PATTERN>",
            multiple=True,
            section="Walk",
            help="Leave out entries whose absolute path matches; repeat it or separate patterns by commas. "
            "RE2 syntax; %common% and %system% stand for the usual suspects; a pattern that starts with ./ "
            "is matched against the path inside the directory.",
        ),
        Flag("--no-follow", is_flag=True, section="Walk", help="Leave out symbolic links instead of following them."),
        Setting(
            "--walk-jobs",
            metavar="<N>",
            parse=whole_number,
            variable="SNAPDIR_WALK_JOBS",
            section="Walk",
            help="Threads that read and hash; 0, the default, is one per CPU up to 16. Never changes an id.",
        ),
    ]


def store() -> list[Flag]:
    return [
        Single(
            "--store",
            metavar="<URI>",
            parse=text,
            variable="SNAPDIR_STORE",
            section="Store",
            help="Where snapshots live: file:///path, ./path or s3://bucket/prefix.",
        )
    ]


def snapshot(what: str = "Snapshot to work on") -> list[Flag]:
    return [
        Single(
            "--id",
            "snapshot_id",
            metavar="<ID>",
            parse=text,
            section="Snapshot",
            help=f"{what}: 64 hexadecimal digits.",
        )
    ]


def cache() -> list[Flag]:
    return [
        Setting(
            "--cache-dir",
            metavar="<DIR>",
            parse=_directory,
            variable="SNAPDIR_CACHE_DIR",
            section="Cache",
            help="The local cache; default: $XDG_CACHE_HOME/snapdir or ~/.cache/snapdir.",
        )
    ]


def engine() -> list[Flag]:
    """How much at once."""
    return [
        Setting(
            "-j",
            "--jobs",
            metavar="<N>",
            parse=whole_number,
            variable="SNAPDIR_JOBS",
            section="Transfer",
            help="Requests in flight; 0, the default, suits the store.",
        ),
        Setting(
            "--memory",
            metavar="<SIZE>",
            parse=_memory,
            variable="SNAPDIR_MEMORY",
            section="Transfer",
            help="Bytes of content held in memory at once, e.g. 256MiB; default: 128MiB.",
        ),
        Setting(
            "--part-size",
            metavar="<SIZE>",
            parse=_part_size,
            section="Transfer",
            help="Size of the parts a large object is sent and fetched in; default: 8MiB.",
        ),
    ]


def retries() -> list[Flag]:
    """When a failed request is sent again."""
    return [
        Setting(
            "--max-retries",
            metavar="<N>",
            parse=whole_number,
            variable="SNAPDIR_MAX_RETRIES",
            section="Retries",
            help="Attempts per request in all; default: 5.",
        ),
        Setting(
            "--retry-base-ms",
            metavar="<MS>",
            parse=whole_number,
            variable="SNAPDIR_RETRY_BASE_MS",
            section="Retries",
            help="Upper bound of the first delay, doubled for each next one; default: 250.",
        ),
        Setting(
            "--retry-max-ms",
            metavar="<MS>",
            parse=whole_number,
            variable="SNAPDIR_RETRY_MAX_MS",
            section="Retries",
            help="Upper bound of every delay; default: 30000.",
        ),
    ]


def writing() -> list[Flag]:
    """How a snapshot is laid over what is there."""
    section = "Destination"
    return [
        Flag(
            "--force", is_flag=True, section=section, help="Write into the current directory although it is not empty."
        ),
        Flag("--no-overwrite", is_flag=True, section=section, help="Stop before writing if a file would be replaced."),
        Flag("--keep", is_flag=True, section=section, help="Keep the temporary files of a failed run."),
        Flag(
            "--preserve-special-modes",
            is_flag=True,
            section=section,
            help="Restore setuid, setgid and sticky bits, which are left off otherwise.",
        ),
    ]


def dry_run() -> list[Flag]:
    return [Flag("--dryrun", is_flag=True, help="Say what would be done, and write nothing.")]


def accepted(*names: str) -> list[Flag]:
    """Options of other verbs that change nothing here: taken, so that one set of flags fits all, but not shown."""
    metavars = {"--store": "<URI>", "--id": "<ID>", "--catalog": "<NAME>", "--cache-dir": "<DIR>"}
    return [
        Single(name, metavar=metavars[name], parse=text, hidden=True, expose_value=False)
        if name in metavars
        else Flag(name, is_flag=True, hidden=True, expose_value=False)
        for name in names
    ]


def catalog() -> list[Flag]:
    """``--catalog none``: what happens anyway. A name is refused rather than forgotten: there is no catalog yet."""
    return [Single("--catalog", metavar="<NAME>", parse=_no_catalog, hidden=True, expose_value=False)]


def universal() -> list[Flag]:
    """Before or after the verb, on every verb."""
    section = "Universal options"
    return [
        UniversalFlag("-q", "--quiet", section=section, help="Print only data and errors."),
        UniversalFlag("--verbose", section=section, help="Say more on stderr."),
        UniversalFlag(
            "--no-progress",
            variable="SNAPDIR_NO_PROGRESS",
            section=section,
            help="Draw no progress line.",
        ),
        Setting(
            "--color",
            metavar="<WHEN>",
            parse=choice("auto", "always", "never"),
            section=section,
            help="Colour messages on stderr: auto, always or never. auto heeds NO_COLOR and TERM.",
        ),
    ]


def config_from(settings: Mapping[str, Any], variables: Collection[str]) -> Config:
    """The Config for what was given; ``variables`` are those without a flag that this verb reads.

    Raises:
        InvalidOption: a variable has a bad value.
        SnapdirError: there is no cache directory because there is no home.
    """
    from snapdir.config import Config, default_cache_dir

    try:
        cache_dir = settings.get("cache_dir") or default_cache_dir()
    except RuntimeError as error:
        raise SnapdirError("there is no home directory for the cache: set HOME or SNAPDIR_CACHE_DIR") from error
    return Config(
        cache_dir=cache_dir,
        stores=_store_settings(settings, variables),
        limits=_limits(settings),
        keyed_context=_variable(KEYED_CONTEXT, _context, variables) or "",
    )


def _store_settings(settings: Mapping[str, Any], variables: Collection[str]) -> StoreSettings:
    from snapdir.stores.settings import RetryPolicy, StoreSettings

    attempts = settings.get("max_retries")
    retry = {
        "attempts": None if attempts is None else max(1, attempts),
        "base_seconds": _seconds(settings.get("retry_base_ms")),
        "max_seconds": _seconds(settings.get("retry_max_ms")),
    }
    given = {
        "fsync": _variable(FSYNC, _fsync, variables),
        "clone": _variable(CLONEFILE, switch, variables),
        "verify_copies": _variable(VERIFY_COPIES, switch, variables),
    }
    return StoreSettings(retry=RetryPolicy(**_known(retry)), **_known(given))


def _limits(settings: Mapping[str, Any]) -> Limits:
    from snapdir.transfer.limits import Limits

    given = {
        "jobs": settings.get("jobs"),
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


def _directory(value: str, source: str) -> Path:
    if not value:
        raise InvalidOption(f"invalid {source} '': expected a directory")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise InvalidOption(f"invalid {source} '{value}': no such home directory") from error


def _memory(value: str, source: str) -> int:
    return parse_size(value, option=source)


def _part_size(value: str, source: str) -> int:
    size_bytes = parse_size(value, option=source)
    if not SMALLEST_PART_BYTES <= size_bytes <= LARGEST_PART_BYTES:
        raise InvalidOption(f"invalid {source} '{value}': expected 1MiB to 5GiB")
    return size_bytes


def _fsync(value: str, source: str) -> bool:
    return bool(choice("batch", "off")(value, source) == "batch")


def _context(value: str, source: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidOption(f"invalid {source}: expected UTF-8 text") from error
    return value


def _no_catalog(value: str, source: str) -> str:
    if value not in ("", "none"):
        raise InvalidOption(f"invalid {source} '{value}': expected none; this version keeps no catalog")
    return value
