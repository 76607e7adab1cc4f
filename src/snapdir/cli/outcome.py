"""The JSON object that a transfer prints at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from snapdir.cli.tables import write_json

if TYPE_CHECKING:
    import snapdir
    from snapdir.cli.invocation import Invocation


class Outcome(NamedTuple):
    """What a transfer did, or a dry run would do. ``sent``, ``received`` and ``reused`` are numbers of objects; see
    ``docs/json.md``.

    Attributes:
        id: None for a sync of all snapshots.
        more: Fields of one command, after the common ones.
    """

    id: str | None
    files: int
    bytes: int
    reused: int
    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    requests: int = 0
    more: Mapping[str, Any] = MappingProxyType({})


def of_push(snapshot_id: str, invocation: Invocation) -> Outcome:
    counters = invocation.counters
    return Outcome(
        snapshot_id,
        counters.snapshot_files,
        counters.snapshot_bytes,
        reused=counters.objects_skipped,
        sent=counters.objects_sent + counters.objects_to_send,
        sent_bytes=counters.bytes_to_send if counters.objects_to_send else counters.bytes_sent,
        requests=counters.requests_to_send,
        more={"ignored": counters.ignored},
    )


def of_pull(report: snapdir.PullReport, *, checked_out: bool = True) -> Outcome:
    """``checked_out``: files were written into a directory, not only fetched."""
    written = {"replaced": report.replaced, "removed": report.pruned, "extra": report.extra}
    return Outcome(
        report.id,
        report.files,
        report.bytes,
        reused=report.objects_reused,
        received=report.objects_received + report.objects_to_fetch,
        received_bytes=report.bytes_received + report.bytes_to_fetch,
        requests=report.requests_to_send,
        more=written if checked_out else {},
    )


def of_sync(report: snapdir.SyncReport, *, every: bool) -> Outcome:
    return Outcome(
        None if every else report.snapshots[0],
        report.files,
        report.bytes,
        reused=report.skipped,
        sent=report.copied,
        sent_bytes=report.copied_bytes,
        requests=report.requests_to_send,
        more={"snapshots": report.snapshots, "removed": report.pruned_snapshots},
    )


def write_outcome(outcome: Outcome, invocation: Invocation, *, dry_run: bool) -> None:
    """Print it as one line, with the seconds since the command began and every warning."""
    warnings: Sequence[str] = list(dict.fromkeys(invocation.counters.warnings))
    write_json(
        {
            "id": outcome.id,
            "files": outcome.files,
            "bytes": outcome.bytes,
            "sent": outcome.sent,
            "reused": outcome.reused,
            "seconds": round(invocation.seconds, 3),
            "warnings": warnings,
            "sent_bytes": outcome.sent_bytes,
            "received": outcome.received,
            "received_bytes": outcome.received_bytes,
            "dry_run": dry_run,
            "names": invocation.counters.names,
            "requests": outcome.requests,
            **outcome.more,
            "chosen_by": invocation.counters.chosen_by,
        }
    )
