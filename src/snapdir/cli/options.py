"""The groups of options that verbs share. ``configuration`` makes a Config of what they were given."""

from __future__ import annotations

from pathlib import Path

from snapdir.cli.bucket import bucket
from snapdir.cli.effort import engine, rates, retries
from snapdir.cli.parameters import (
    Flag,
    Off,
    Positional,
    Setting,
    Single,
    UniversalFlag,
    choice,
    text,
    whole_number,
)
from snapdir.errors import InvalidOption

__all__ = [
    "SHARED_CATALOG",
    "accepted",
    "bucket",
    "cache",
    "catalog",
    "dry_run",
    "engine",
    "hidden",
    "mirror",
    "output",
    "path",
    "pool",
    "rates",
    "retries",
    "selection",
    "shared_catalog",
    "snapshot",
    "store",
    "universal",
    "walk",
    "writing",
]

SHARED_CATALOG = "SNAPDIR_SHARED_CATALOG"


def path(metavar: str = "PATH", use: str = "The directory; default: the current one.") -> Positional:
    """The optional directory a verb works on."""
    return Positional("path", required=False, metavar=f"[{metavar}]", use=use, is_path=True)


def walk() -> list[Flag]:
    return [
        Flag(
            "--exclude",
            metavar="<PATTERN>",
            multiple=True,
            section="Walk",
            help="Leave out entries whose absolute path matches; repeat it or separate patterns by commas. "
            "RE2 syntax; %common% stands for .git, .cache, node_modules, trash and the like, %system% for /proc, "
            "/tmp, mounts and the cache; a pattern that starts with ./ is matched against the path inside the "
            "directory, and any other must not match the path of the directory itself.",
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


def pool() -> list[Flag]:
    return [
        Single(
            "--objects-store",
            metavar="<URI>",
            parse=text,
            variable="SNAPDIR_OBJECTS_STORE",
            section="Store",
            help="A pool that holds the objects of several stores; --store then holds manifests only.",
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
            help=f"{what}: 64 hexadecimal digits, or the first 8 or more of them.",
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


def writing() -> list[Flag]:
    """How a snapshot is laid over what is there."""
    section = "Destination"
    return [
        Flag(
            "--force", is_flag=True, section=section, help="Write into the current directory although it is not empty."
        ),
        Flag("--no-overwrite", is_flag=True, section=section, help="Stop before writing if a file would be replaced."),
        Flag("--strict", is_flag=True, section=section, help="Exit 1 if paths that are not in the snapshot remain."),
        Flag("--keep", is_flag=True, section=section, help="Keep the temporary files of a failed run."),
        Flag(
            "--preserve-special-modes",
            is_flag=True,
            section=section,
            help="Restore setuid, setgid and sticky bits, which are left off otherwise.",
        ),
    ]


def selection() -> list[Flag]:
    """Which files of a snapshot."""
    section = "Selection"
    return [
        Flag(
            "--include",
            metavar="<GLOB>",
            multiple=True,
            section=section,
            help="Only what this covers; repeatable. As in a .gitignore: *.bin at any level, /train/*.bin or train/** "
            "from the root, val/ a directory with all that is in it.",
        ),
        Flag(
            "--exclude",
            metavar="<GLOB>",
            multiple=True,
            section=section,
            help="Leave out what this covers, also of what --include covers; repeatable.",
        ),
        Single(
            "--shard",
            metavar="<I/N>",
            parse=_shard,
            section=section,
            help="Only the I-th of N parts of those files, about equal in bytes, the same on every machine.",
        ),
    ]


def mirror() -> list[Flag]:
    """How far a checkout goes."""
    section = "Destination"
    return [
        Flag(
            "--delete",
            is_flag=True,
            section=section,
            help="Remove what is not in the snapshot. --exclude PATTERN then protects what fits it (RE2, in paths "
            "such as ./a/b or ./a/). Refused for /, homes, caches and stores, and for what holds one.",
        ),
        Flag(
            "--linked",
            is_flag=True,
            section=section,
            help="Make links to the objects of the local cache instead of files. Every object is hashed first, and "
            "becomes read-only.",
        ),
    ]


def hidden(*groups: list[Flag]) -> list[Flag]:
    """Options that are checked but change nothing for a verb: it touches no network."""
    options = [option for group in groups for option in group]
    for option in options:
        option.hidden = True
    return options


def dry_run() -> list[Flag]:
    return [Flag("--dryrun", is_flag=True, help="Say what would be done, and write nothing.")]


def output() -> list[Flag]:
    """How a reading verb prints: see ``cli.tables``."""
    return [Flag("--json", "as_json", is_flag=True, section="Output", help="Print JSON for programs.")]


def accepted(*names: str) -> list[Flag]:
    """Options of other verbs that change nothing here: taken, so that one set of flags fits all, but not shown."""
    metavars = {
        "--store": "<URI>",
        "--objects-store": "<URI>",
        "--id": "<ID>",
        "--catalog": "<NAME>",
        "--cache-dir": "<DIR>",
    }
    return [
        Single(name, metavar=metavars[name], parse=text, hidden=True, expose_value=False)
        if name in metavars
        else Flag(name, is_flag=True, hidden=True, expose_value=False)
        for name in names
    ]


def catalog(*, unasked: bool = True, purpose: str = "The history to record in") -> list[Flag]:
    """``unasked``: whether the default catalog is used where none is named."""
    default = "default: the one called default" if unasked else "default: none"
    return [
        Setting(
            "--catalog",
            metavar="<NAME>",
            parse=text,
            variable="SNAPDIR_CATALOG",
            empty="none",
            unset="default" if unasked else None,
            section="History",
            help=f"{purpose}: a name in the cache directory, the path of a file, or none; {default}.",
        )
    ]


def shared_catalog(purpose: str = "Record on this machine only; the store's own history gets no record.") -> list[Flag]:
    """Whether a push is also written down where it went."""
    return [
        Off(
            "--no-shared-catalog",
            "shared_catalog",
            variable=SHARED_CATALOG,
            section="History",
            help=purpose,
        )
    ]


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


def _directory(value: str, source: str) -> Path:
    if not value:
        raise InvalidOption(f"invalid {source} '': expected a directory")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise InvalidOption(f"invalid {source} '{value}': no such home directory") from error


def _shard(value: str, source: str) -> str:
    from snapdir.model.sharding import Shard

    return str(Shard.parse(value, source))
