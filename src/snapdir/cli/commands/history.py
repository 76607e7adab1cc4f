"""snapdir locations and revisions: the recorded history, as lists. Also what ``lineage`` shares with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Choice, Flag, Single, section
from snapdir.cli.tables import Cell, Moment, Prose, ShortId, write_json_lines, write_rows
from snapdir.cli.verb import command
from snapdir.errors import SnapdirError
from snapdir.model.digest import SHORT_ID_DIGITS

if TYPE_CHECKING:
    from snapdir.catalog.record import Record

ADVICE = "; --store also reads the history of a store"


def history() -> list[Flag]:
    """Which history is read, and which location in it."""
    return [
        Single("--location", metavar="<PLACE>", section="History", help="Only records of this directory or store."),
        *settings.cache(),
        *settings.catalog(purpose="The history to read"),
    ]


def formats(*more: str) -> list[Flag]:
    words = ("json", "table", *more)
    return section(
        "Output",
        Single(
            "--format",
            "shape",
            metavar="<FORMAT>",
            parse=Choice(*words),
            unset="json",
            help=f"{', '.join(words[:-1])} or {words[-1]}; default: json, one object per line.",
        ),
        *options.output(),
    )


def catalog_missing(invocation: Invocation, store: str | None = None) -> bool:
    """Whether no history and no store can be read; prints a note in that case."""
    missing = invocation.config.catalog is None and store is None
    if missing:
        invocation.terminal.note("catalog disabled (--catalog none): nothing to query")
    return missing


def note_if_empty(invocation: Invocation, found: Sequence[object], advice: str = "") -> None:
    """Explain an empty result on a terminal; scripts read the exit code and the data."""
    if not found and invocation.terminal.attended:
        invocation.terminal.note(f"no matching records{advice}")


@command(
    *history(),
    Single("--store", metavar="<URI>", section="History", help="Only this store."),
    *options.snapshot("Only locations whose latest snapshot is this one"),
    *formats(),
    moves_data=False,
    examples=["snapdir locations", "snapdir locations --id $ID --format table"],
)
def locations(invocation: Invocation, /, *, shape: str, as_json: bool, **given: Any) -> None:
    """List every store and directory with the latest snapshot recorded there.

    push, stage and `manifest --catalog` record snapshots. The output is JSON, one object per line; --format table
    prints a table.
    """
    if catalog_missing(invocation):
        return
    records = invocation.run(snapdir.locations, **given)
    note_if_empty(invocation, records)
    if shape == "json" or as_json:
        write_json_lines({"created_at": r.created_at, "id": r.id, "location": r.location} for r in records)
    else:
        rows = ((Moment(record.created_at), ShortId(record.id), record.location) for record in records)
        write_rows(("created_at", "id", "location"), rows, terminal=invocation.terminal, shown=_shown_location)


@command(
    *history(),
    *options.store(),
    *options.snapshot("Only this snapshot"),
    *formats(),
    moves_data=False,
    examples=["snapdir revisions --store s3://bucket/sets", "snapdir revisions --location ./data --format table"],
)
def revisions(
    invocation: Invocation,
    /,
    *,
    location: str | None,
    store: str | None,
    snapshot_id: str | None,
    shape: str,
    as_json: bool,
) -> None:
    """List the snapshots recorded at a location, newest first.

    The location is --location, or else --store. With --store, the history in the store is read too. `snapdir log` also
    counts the changes of each revision. The output is JSON, one object per line; --format table prints a table.
    """
    if catalog_missing(invocation, store):
        return
    where = store if location is None else location
    if not where:
        raise SnapdirError("missing --location option")
    records = invocation.run(snapdir.revisions, where, snapshot_id=snapshot_id, store=store)
    note_if_empty(invocation, records, ADVICE)
    if shape == "json" or as_json:
        write_json_lines(map(_revision, records))
    else:
        columns = ("created_at", "id", "previous_id", "derived_from", "note", "labels")
        write_rows(columns, map(_revision_row, records), terminal=invocation.terminal, shown=_shown)


def _revision(record: Record) -> dict[str, Any]:
    fields = {"created_at": record.created_at, "id": record.id, "previous_id": record.previous_id}
    return fields | record.provenance_fields()


def _revision_row(record: Record) -> list[Cell]:
    return [
        Moment(record.created_at),
        ShortId(record.id),
        None if record.previous_id is None else ShortId(record.previous_id),
        ", ".join(record.derived_from) or None,
        record.note,
        ", ".join(f"{key}={value}" for key, value in record.labels) or None,
    ]


def _shown(row: Mapping[str, Any]) -> Mapping[str, Cell]:
    sources = ", ".join(source[:SHORT_ID_DIGITS] for source in (row["derived_from"] or "").split(", "))
    return {
        "created (UTC)": row["created_at"],
        "id": row["id"],
        "previous": row["previous_id"],
        "derived from": Prose(sources),
        "note": Prose("; ".join(filter(None, (row["note"], row["labels"])))),
    }


def _shown_location(row: Mapping[str, Any]) -> Mapping[str, Cell]:
    return {"created (UTC)": row["created_at"], "id": row["id"], "location": row["location"]}
