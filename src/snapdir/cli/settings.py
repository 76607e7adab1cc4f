"""Options and variables that become a Config: the cache, the history, and how transfers and stores work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdir.cli.parameters import (
    BareSetting,
    Choice,
    Flag,
    Setting,
    SettingSwitch,
    from_variable,
    section,
    switch,
    whole_number,
)
from snapdir.disk.descriptors import MIN_OPEN_FILES
from snapdir.errors import InvalidOption, SnapdirError
from snapdir.model.sizes import GIB, MIB, parse_rate, parse_size
from snapdir.stores.bucket_options import ACLS, ENCRYPTIONS, REQUESTER, kms_key, storage_class

if TYPE_CHECKING:
    from snapdir.config import Config

MIN_PART_BYTES = MIB
MAX_PART_BYTES = 5 * GIB

KEYED_CONTEXT = "SNAPDIR_MANIFEST_CONTEXT"
FSYNC = "SNAPDIR_FSYNC"
CLONEFILE = "SNAPDIR_CLONEFILE"
VERIFY_COPIES = "SNAPDIR_VERIFY_COPIES"
SHARED_CATALOG = "SNAPDIR_SHARED_CATALOG"
PULL_CACHE = "SNAPDIR_PULL_CACHE"
WRITING = (FSYNC, CLONEFILE, VERIFY_COPIES)
"""Variables without an option, read by the verbs that write objects or files."""

VARIABLES = {
    KEYED_CONTEXT: "Context of keyed BLAKE3 checksums. Snapshots with keyed checksums cannot be stored.",
    FSYNC: "batch (default) flushes written data to disk before success is reported; off does not.",
    CLONEFILE: "0 copies bytes even if the filesystem can share them between files.",
    VERIFY_COPIES: "1 checks small local copies by reading them back, and hashes the objects behind linked files.",
}

OTHER_SETTINGS = (
    "quiet", "verbose", "no_progress", "progress", "progress_interval", "log_level", "color", "cache_dir",
)  # fmt: skip
"""Settings that ``Config.with_options`` does not take: those of the terminal, and the cache."""


def config_from(settings: Mapping[str, Any], variables: Collection[str]) -> Config:
    """The Config of a run; ``variables`` are those without an option that the verb reads.

    Raises:
        InvalidOption: a variable has a bad value.
        SnapdirError: there is no cache directory because there is no home.
    """
    from snapdir.config import Config

    def variable(name: str, parse: Any) -> Any:
        return from_variable(name, parse) if name in variables else None

    config = Config(
        cache_dir=cache_directory(settings),
        keyed_context=variable(KEYED_CONTEXT, _context) or "",
    )
    return config.with_options(
        **{name: value for name, value in settings.items() if name not in OTHER_SETTINGS},
        fsync=variable(FSYNC, fsync),
        clone=variable(CLONEFILE, switch),
        verify_copies=variable(VERIFY_COPIES, switch),
    )


def cache_directory(settings: Mapping[str, Any]) -> Path:
    """
    Raises:
        SnapdirError: no cache directory is given, and there is no home directory for the default.
    """
    from snapdir.config import default_cache_dir

    try:
        return settings.get("cache_dir") or default_cache_dir()
    except RuntimeError as error:
        raise SnapdirError("there is no home directory for the cache: set HOME or SNAPDIR_CACHE_DIR") from error


def cache() -> list[Flag]:
    return section(
        "Cache",
        Setting(
            "--cache-dir",
            metavar="<DIR>",
            parse=_directory,
            help="The local cache; default: $XDG_CACHE_HOME/snapdir or ~/.cache/snapdir.",
        ),
    )


def index() -> list[Flag]:
    """For a verb that remembers the files of a directory."""
    return section(
        "Cache",
        Setting(
            "--index-size",
            metavar="<SIZE>",
            parse=_size,
            help="How much the cache may take to remember files; 0 remembers nothing and reads every file; default: "
            "2GiB.",
        ),
    )


def catalog(*, recorded: bool = True, purpose: str = "The history of this machine to record in") -> list[Flag]:
    """``recorded``: without the option, the default history is used."""
    return section(
        "History",
        Setting(
            "--catalog",
            metavar="<NAME>",
            empty="none",
            unset="default" if recorded else None,
            help=f"{purpose}: a name in the cache directory, the path of a file, or none; default: "
            f"{'the one named default' if recorded else 'none'}.",
        ),
    )


def shared_catalog(purpose: str = "Leave no record in the store; --catalog is for this machine.") -> list[Flag]:
    return section(
        "History",
        SettingSwitch("--no-shared-catalog", "shared_catalog", value=False, variable=SHARED_CATALOG, help=purpose),
    )


def transfer(*, writing: bool = False) -> list[Flag]:
    """Everything about the transfer of bytes; ``writing`` shows what applies to new objects in a bucket."""
    return [*local(), *network(writing=writing)]


def reading() -> list[Flag]:
    """For a command that reads a little and transfers nothing: what a bucket requires; the others work, unseen."""
    unseen = [*local(), *_rates(), *retries()]
    for option in unseen:
        option.hidden = True
    return [*unseen, *bucket()]


def local() -> list[Flag]:
    """Limits of a transfer on this machine."""
    return section(
        "Transfer",
        Setting(
            "-j",
            "--jobs",
            metavar="<N>",
            parse=whole_number,
            help="Concurrent requests; 0 (default) adapts to the store.",
        ),
        BareSetting(
            "--adaptive",
            metavar="<F>",
            bare="0.8",
            parse=_share,
            help="Share the store with other clients: find how many concurrent requests still add throughput, and use "
            "the fraction F of them (above 0, at most 1; default: 0.8). Never more than --max-jobs (or --jobs), and "
            "never more than 64.",
        ),
        Setting(
            "--max-jobs",
            metavar="<N>",
            parse=whole_number,
            help="Upper limit of concurrent requests with --adaptive, or if --jobs is not given.",
        ),
        Setting(
            "--memory",
            metavar="<SIZE>",
            parse=_size,
            help="Memory for file content in transfer, such as 256MiB; default: 128MiB, or an eighth of the "
            "memory limit (cgroup or ulimit -v) if that is less.",
        ),
        Setting(
            "--max-open-files",
            metavar="<N>",
            parse=_open_files,
            help="Files and connections open at once, 32 or more; 0 (default) is what ulimit -n allows.",
        ),
        Setting(
            "--part-size",
            metavar="<SIZE>",
            parse=_part_size,
            variable="",
            help="Size of the parts in which large objects are sent and fetched, 1MiB to 5GiB; default: 8MiB.",
        ),
        Setting(
            "--max-manifest-size",
            metavar="<SIZE>",
            parse=_size,
            help="Largest manifest to accept (about 100 bytes per file); 0 is unlimited; default: 4GiB.",
        ),
    )


def network(*, writing: bool = False) -> list[Flag]:
    """How a store across a network is used."""
    return [*_rates(), *retries(), *bucket(writing=writing)]


def _rates() -> list[Flag]:
    return section(
        "Transfer",
        Setting(
            "--limit-rate",
            metavar="<RATE>",
            parse=_rate,
            help="Bytes per second, sent and received together, such as 10M, 512K or 1G; 0 (default) is unlimited. "
            "A store in a directory is not limited.",
        ),
        Setting(
            "--max-requests",
            metavar="<N>",
            parse=whole_number,
            help="Requests per second; 0 (default) is unlimited.",
        ),
    )


def retries() -> list[Flag]:
    return section(
        "Retries",
        Setting(
            "--max-retries",
            metavar="<N>",
            parse=whole_number,
            help="Attempts per request, the first included; default: 5, and 7 if throttled.",
        ),
        Setting(
            "--retry-base-ms",
            metavar="<MS>",
            parse=whole_number,
            help="Upper limit of the delay before the first retry, in milliseconds; it doubles with each retry; "
            "default: 250.",
        ),
        Setting(
            "--retry-max-ms",
            metavar="<MS>",
            parse=whole_number,
            help="Longest delay before any retry, in milliseconds; default: 30000.",
        ),
        Setting(
            "--stall-timeout",
            metavar="<SECONDS>",
            parse=_at_least_one,
            help="Drop a connection that has transferred nothing for SECONDS, and retry; default: 20.",
        ),
        Setting(
            "--min-rate",
            metavar="<RATE>",
            parse=_rate,
            help="Drop a connection that averages less than RATE bytes per second over a minute, and retry; 0 turns "
            "this off; default: 1K.",
        ),
    )


def bucket(*, writing: bool = False) -> list[Flag]:
    """Options that an S3 bucket may require, named as in the AWS CLI."""
    written = [
        Setting(
            "--sse",
            metavar="<KIND>",
            parse=Choice(*ENCRYPTIONS),
            help=f"Server-side encryption of new objects: {', '.join(ENCRYPTIONS)}; default: the bucket's.",
        ),
        Setting(
            "--sse-kms-key-id",
            metavar="<KEY>",
            parse=kms_key,
            help="KMS key for --sse aws:kms or aws:kms:dsse: its id, ARN or alias.",
        ),
        Setting(
            "--acl",
            metavar="<ACL>",
            parse=Choice(*ACLS),
            help="Canned ACL of new objects, such as bucket-owner-full-control.",
        ),
        Setting(
            "--storage-class",
            metavar="<CLASS>",
            parse=storage_class,
            help="Storage class of new objects, such as STANDARD_IA. GLACIER and DEEP_ARCHIVE apply to file content "
            "only, which must be restored before a pull.",
        ),
    ]
    for option in written:
        option.hidden = not writing
    return section(
        "S3 buckets",
        *written,
        Setting(
            "--request-payer",
            metavar="<WHO>",
            parse=Choice(REQUESTER),
            help=f"{REQUESTER}: pay for requests to a Requester Pays bucket.",
        ),
        SettingSwitch(
            "--no-sign-request",
            help="Send anonymous requests, without credentials.",
        ),
    )


def _directory(value: str, source: str) -> Path:
    if not value:
        raise InvalidOption(f"invalid {source} '': expected a directory")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise InvalidOption(f"invalid {source} '{value}': no such home directory") from error


def _share(value: str, source: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise InvalidOption(f"invalid {source} '{value}': expected a fraction above 0 and at most 1, such as 0.8")
    return share


def _size(value: str, source: str) -> int:
    return parse_size(value, option=source)


def _open_files(value: str, source: str) -> int:
    count = whole_number(value, source)
    if 0 < count < MIN_OPEN_FILES:
        raise InvalidOption(f"invalid {source} '{value}': expected {MIN_OPEN_FILES} or more, or 0")
    return count


def _part_size(value: str, source: str) -> int:
    size_bytes = parse_size(value, option=source)
    if not MIN_PART_BYTES <= size_bytes <= MAX_PART_BYTES:
        raise InvalidOption(f"invalid {source} '{value}': expected 1MiB to 5GiB")
    return size_bytes


def _rate(value: str, source: str) -> str:
    """The rate as it was typed, which the banner shows."""
    parse_rate(value, option=source)
    return value.strip()


def _at_least_one(value: str, source: str) -> int:
    seconds = whole_number(value, source)
    if seconds < 1:
        raise InvalidOption(f"invalid {source} '{value}': expected 1 or more seconds")
    return seconds


def fsync(value: str, source: str) -> bool:
    return Choice("batch", "off")(value, source) == "batch"


def _context(value: str, source: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidOption(f"invalid {source}: expected UTF-8 text") from error
    return value
