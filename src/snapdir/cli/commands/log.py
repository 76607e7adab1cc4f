"""snapdir log: the revisions of a store or a directory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Positional, Single, whole_number
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb

if TYPE_CHECKING:
    from snapdir.api.log import Revision

DEFAULT_LIMIT = 20
COLUMNS = ("date", "id", "size", "files", "added", "removed", "modified", "note", "labels")


@click.command(
    "log",
    cls=Verb,
    params=[
        Positional("place", required=False, metavar="[STORE|DIR]", use="A store or a directory; default: --store."),
        *options.store(),
        Single(
            "--limit",
            metavar="<N>",
            parse=whole_number,
            section="Output",
            help=f"Revisions at most, the newest; 0 is all; default: {DEFAULT_LIMIT}.",
        ),
        Flag("--json", "as_json", is_flag=True, section="Output", help="One JSON object a line."),
        *options.catalog(purpose="The history to read"),
        *options.cache(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
    ],
    examples=["snapdir log s3://bucket/sets", "snapdir log --limit 0 --json ./data"],
)
@click.pass_obj
def command(invocation: Invocation, *, place: str | None, store: str | None, limit: int | None, as_json: bool) -> None:
    """Show what a store or a directory held over time, and what each revision changed.

    A store's revisions are those of its pushes, by this machine and by every other one; a directory's are those it was
    staged with. Changes are counted in files: added, removed, modified.
    """
    from snapdir.cli.tables import write_json_lines, write_rows

    shown = place or store
    if shown is None:
        raise UsageMistake("a store or a directory is required, or --store <URI>", click.get_current_context())
    limit = DEFAULT_LIMIT if limit is None else limit
    # One more than is shown, to know whether there is more.
    asked = partial(snapdir.log, shown, limit=limit + 1 if limit else None)
    found = invocation.run(partial(asked, config=invocation.config, counters=invocation.counters), store=shown)
    revisions = found[:limit] if limit else found
    if as_json:
        write_json_lines(map(_fields, revisions))
    else:
        write_rows(COLUMNS, map(_row, revisions), terminal=invocation.terminal)
    if not revisions:
        invocation.terminal.note(f"no history of {shown}: {_why_none(shown)}")
    elif len(found) > len(revisions):
        invocation.terminal.note(f"the newest {limit} revisions are shown; --limit 0 shows all")


def _why_none(place: str) -> str:
    if "://" in place:
        return "nothing was pushed there, or history was disabled"
    return "it was not staged; pushes from it are in the history of their store"


def _fields(revision: Revision) -> dict[str, Any]:
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


def _row(revision: Revision) -> Sequence[Any]:
    from snapdir.cli.tables import ShortId, Size

    return (
        revision.created_at[:19],
        ShortId(revision.id),
        None if revision.size_bytes is None else Size(revision.size_bytes),
        revision.files,
        revision.added,
        revision.removed,
        revision.modified,
        revision.note,
        ", ".join(f"{key}={value}" for key, value in revision.labels) or None,
    )
