"""snapdir log: the revisions of a store or a directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Positional, Single, section, whole_number
from snapdir.cli.tables import Cell, Moment, Prose, ShortId, Size, write_json_lines, write_rows
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command

DEFAULT_LIMIT = 20
COLUMNS = ("date", "id", "size", "files", "added", "removed", "modified", "note", "labels")


@command(
    Positional("place", required=False, metavar="[STORE|DIR]", use="A store or a directory; default: --store."),
    *options.store(),
    *section(
        "Output",
        Single(
            "--limit",
            metavar="<N>",
            parse=whole_number,
            help=f"Show the newest N revisions; 0 shows all; default: {DEFAULT_LIMIT}.",
        ),
        Flag(
            "--label",
            "labels",
            metavar="<KEY=VALUE>",
            multiple=True,
            callback=options.pairs,
            help="Only revisions with this label; repeatable: all must match.",
        ),
        Single("--since", metavar="<DATE|AGE>", help="Only revisions from then on: 2026-11-30 (UTC), or 7d, 12h."),
        Single("--note", metavar="<TEXT>", help="Only revisions whose note contains this text, in any case."),
        Flag("--json", "as_json", help="Print one JSON object per line."),
    ),
    *settings.catalog(purpose="The history to read"),
    *settings.cache(),
    *settings.reading(),
    moves_data=False,
    examples=[
        "snapdir log s3://bucket/sets",
        "snapdir log s3://bucket/sets --label stage=clean --since 7d --note shard",
        "snapdir log --limit 0 --json ./data",
    ],
)
def log(
    invocation: Invocation,
    /,
    *,
    place: str | None,
    store: str | None,
    limit: int | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """List the revisions of a store or directory, and the changes of each.

    The newest revision is first. Each push to a store, from any machine, is a revision of the store; each stage of a
    directory is a revision of the directory. Changes are numbers of files: added, removed and modified.
    """
    shown = place or store
    if shown is None:
        raise UsageMistake("a store or a directory is required, or --store <URI>")
    limit = DEFAULT_LIMIT if limit is None else limit
    # One more than is shown, to know whether there is more.
    found = invocation.run(snapdir.log, shown, limit=limit + 1 if limit else None, **wanted)
    revisions = found[:limit] if limit else found
    if as_json:
        write_json_lines(map(_fields, revisions))
    else:
        write_rows(COLUMNS, map(_row, revisions), terminal=invocation.terminal, shown=_shown)
    if not revisions and any(wanted.values()):
        invocation.terminal.note(f"no revision of {shown} matches --label, --since and --note")
    elif not revisions:
        invocation.terminal.note(f"no revisions of {shown}: {_why_none(shown)}")
    elif len(found) > len(revisions):
        invocation.terminal.note(f"the newest {limit} revisions are shown; --limit 0 shows all")


def _why_none(place: str) -> str:
    if "://" in place:
        return "nothing was pushed there, or history was disabled"
    return (
        "it was never staged; pushes from it are in the history of their store: `snapdir log STORE` lists them;"
        " `snapdir status DIR` shows what it was pulled from"
    )


def _fields(revision: snapdir.Revision) -> dict[str, Any]:
    return {
        "created_at": revision.created_at,
        "id": revision.id,
        "previous_id": revision.previous_id,
        "event": revision.event,
        "location": revision.location,
        "size": revision.size_bytes,
        "files": revision.files,
        "added": revision.added,
        "removed": revision.removed,
        "modified": revision.modified,
        "derived_from": revision.derived_from,
        "note": revision.note,
        "labels": dict(revision.labels),
    }


def _row(revision: snapdir.Revision) -> Sequence[Any]:
    return (
        Moment(revision.created_at[:19]),
        ShortId(revision.id),
        None if revision.size_bytes is None else Size(revision.size_bytes),
        revision.files,
        revision.added,
        revision.removed,
        revision.modified,
        revision.note,
        ", ".join(f"{key}={value}" for key, value in revision.labels) or None,
    )


def _shown(row: Mapping[str, Any]) -> Mapping[str, Cell]:
    changes = [f"{sign}{row[name]}" for sign, name in (("+", "added"), ("-", "removed"), ("~", "modified"))]
    return {
        "date (UTC)": row["date"],
        "id": row["id"],
        "size": row["size"],
        "files": row["files"],
        "changes": None if row["added"] is None else " ".join(changes),
        "note": Prose("; ".join(filter(None, (row["note"], row["labels"])))),
    }
