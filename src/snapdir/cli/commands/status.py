"""snapdir status: compare a directory with the snapshot that was checked out into it."""

from __future__ import annotations

import click

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.tables import write_json, write_rows
from snapdir.cli.verb import command
from snapdir.errors import SnapdirError


@command(
    options.path("DIR"),
    *options.snapshot("Compare with this snapshot instead of the one that was checked out"),
    *options.store(),
    *options.output(),
    *settings.cache(),
    *settings.transfer(),
    examples=["snapdir status ./data", "snapdir status --store s3://bucket/sets --id $ID ./data"],
)
def status(
    invocation: Invocation, /, *, path: str | None, snapshot_id: str | None, store: str | None, as_json: bool
) -> None:
    """Compare a directory with the snapshot that was checked out into it.

    Lists modified, missing and extra paths. Exits with 0 if there are none, 1 if there are some, 2 on errors. The cache
    records the snapshot of every checkout and pull; a partial checkout is compared with the selected part only.
    """
    if snapshot_id is None:
        store = None
    try:
        report = invocation.run(snapdir.status, path or ".", id=snapshot_id, store=store)
    except SnapdirError as error:
        error.exit_code = 2
        raise
    _write(report, invocation, as_json=as_json)
    if not report.clean:
        raise click.exceptions.Exit(1)


def _write(report: snapdir.StatusReport, invocation: Invocation, *, as_json: bool) -> None:
    partly = f" ({report.partial})" if report.partial else ""
    if as_json:
        write_json(_fields(report))
    elif report.clean:
        invocation.terminal.note(f"clean: {report.directory} is {report.id}{partly}")
    else:
        if partly:
            invocation.terminal.note(f"compared with a part of {report.id}:{partly}")
        rows = [(state, path) for state in ("modified", "missing", "extra") for path in getattr(report, state)]
        write_rows(("state", "path"), rows, terminal=invocation.terminal)


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
    }
