"""Options that say how hard a transfer works: how much at once, how fast, and how often again."""

from __future__ import annotations

from typing import NamedTuple

from snapdir.cli.parameters import BareSetting, Flag, Setting, whole_number
from snapdir.errors import InvalidOption
from snapdir.model.sizes import GIB, MIB, parse_rate, parse_size

__all__ = ["engine", "rates", "retries"]

SMALLEST_PART_BYTES = MIB
LARGEST_PART_BYTES = 5 * GIB


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
            help="Concurrent requests; 0 (default) adapts to the store.",
        ),
        BareSetting(
            "--adaptive",
            metavar="<F>",
            bare="0.8",
            parse=_share,
            variable="SNAPDIR_ADAPTIVE",
            section="Transfer",
            help="Share the store with other clients: find how many concurrent requests still add throughput, and use "
            "the fraction F of them (above 0, at most 1; alone: 0.8). At most --max-jobs, else --jobs, and 64.",
        ),
        Setting(
            "--max-jobs",
            metavar="<N>",
            parse=whole_number,
            variable="SNAPDIR_MAX_JOBS",
            section="Transfer",
            help="Requests in flight at most where their number adapts: with --adaptive, or without --jobs.",
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
        Setting(
            "--max-manifest-size",
            metavar="<SIZE>",
            parse=_memory,
            variable="SNAPDIR_MAX_MANIFEST_SIZE",
            section="Transfer",
            help="Refuse a longer manifest (about 150 bytes a file); 0 takes any; default: 4GiB.",
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
            help="Attempts per request in all; default: 5, and 7 if throttled.",
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
        Setting(
            "--stall-timeout",
            metavar="<SECONDS>",
            parse=_at_least_one,
            variable="SNAPDIR_STALL_TIMEOUT",
            section="Retries",
            help="Drop a connection that has transferred nothing for SECONDS, and retry; default: 20.",
        ),
        Setting(
            "--min-rate",
            metavar="<RATE>",
            parse=_least_rate,
            variable="SNAPDIR_MIN_RATE",
            section="Retries",
            help="Drop a connection that averages fewer than RATE bytes a second over a minute, and retry; default: "
            "1K; 0 is no limit.",
        ),
    ]


def _at_least_one(value: str, source: str) -> int:
    seconds = whole_number(value, source)
    if seconds < 1:
        raise InvalidOption(f"invalid {source} '{value}': expected 1 or more seconds")
    return seconds


def rates() -> list[Flag]:
    """How hard a store across a network may be asked."""
    return [
        Setting(
            "--limit-rate",
            metavar="<RATE>",
            parse=_rate,
            variable="SNAPDIR_LIMIT_RATE",
            section="Transfer",
            help="Bytes a second, up and down together, e.g. 10M, 512K or 1G; 0, the default, is no limit.",
        ),
        Setting(
            "--max-requests",
            metavar="<N>",
            parse=whole_number,
            variable="SNAPDIR_MAX_REQUESTS",
            section="Transfer",
            help="Requests a second; 0, the default, is no limit.",
        ),
    ]


def _share(value: str, source: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise InvalidOption(f"invalid {source} '{value}': expected a fraction above 0 and at most 1, such as 0.8")
    return share


def _memory(value: str, source: str) -> int:
    return parse_size(value, option=source)


def _part_size(value: str, source: str) -> int:
    size_bytes = parse_size(value, option=source)
    if not SMALLEST_PART_BYTES <= size_bytes <= LARGEST_PART_BYTES:
        raise InvalidOption(f"invalid {source} '{value}': expected 1MiB to 5GiB")
    return size_bytes


def _least_rate(value: str, source: str) -> int:
    return parse_rate(value, option=source) or 0


class Rate(NamedTuple):
    """Bytes a second, None for no limit, and how they were typed."""

    size_bytes: int | None
    typed: str


def _rate(value: str, source: str) -> Rate:
    return Rate(parse_rate(value, option=source), value.strip())
