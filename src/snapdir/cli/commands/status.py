"""snapdir status: compare a directory with its last known snapshot."""

from __future__ import annotations

from typing import Any

import click

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.tables import write_json, write_rows
from snapdir.cli.verb import command
from snapdir.errors import SnapdirError

SOURCES = {"checkout": ("checked out", "from"), "push": ("pushed", "to"), "stage": ("staged", "")}


@command(
    options.path("DIR"),
    *options.snapshot("Compare with this snapshot instead of the last known one"),
    *options.store(),
    *options.ignoring(),
    *options.dereferencing(),
    *options.remembering(),
    *settings.index(),
    *options.output(),
    *settings.cache(),
    *settings.reading(),
    examples=["snapdir status ./data", "snapdir status --store s3://bucket/sets --id $ID ./data"],
)
def status(
    invocation: Invocation,
    /,
    *,
    path: str | None,
    snapshot_id: str | None,
    store: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Compare a directory with its last known snapshot.

    Lists modified, missing and extra paths. Exits with 0 if there are none, 1 if there are some, 2 on errors. The cache
    records the snapshot of every pull, checkout, push and stage; the last one counts. A partial checkout is compared
    with the selected part only. After a push or stage, its options apply again, such as --ignore.
    """
    if snapshot_id is None:
        store = None
    try:
        report = invocation.run(snapdir.status, path or ".", id=snapshot_id, store=store, **given)
    except SnapdirError as error:
        error.exit_code = 2
        raise
    _write(report, invocation, as_json=as_json)
    if not report.clean:
        raise click.exceptions.Exit(1)


def _write(report: snapdir.StatusReport, invocation: Invocation, *, as_json: bool) -> None:
    compared = f"{report.id}{f' ({report.partial})' if report.partial else ''}{_source(report)}"
    if as_json:
        write_json(_fields(report))
    elif report.clean:
        invocation.terminal.note(f"clean: {report.directory} is {compared}")
    else:
        invocation.terminal.note(f"compared with {compared}")
        rows = [(state, path) for state in ("modified", "missing", "extra") for path in getattr(report, state)]
        write_rows(("state", "path"), rows, terminal=invocation.terminal)


def _source(report: snapdir.StatusReport) -> str:
    """Why it is this snapshot."""
    if report.source == "id":
        return ""
    verb, preposition = SOURCES[report.source]
    where = f" {preposition} {report.store}" if report.store else ""
    return f", {verb}{where} at {report.recorded_at} UTC"


def _fields(report: snapdir.StatusReport) -> dict[str, object]:
    return {
        "directory": report.directory,
        "id": report.id,
        "store": report.store,
        "partial": report.partial or None,
        "clean": report.clean,
        "modified": report.modified,
        "missing": report.missing,
        "extra": report.extra,
        "source": report.source,
        "recorded_at": report.recorded_at,
    }
