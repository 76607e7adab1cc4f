"""What the verbs that read the history share: their options, and how rows, chains and graphs are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, choice, text, whole_number
from snapdir.cli.tables import Cell, ShortId, write_json_lines, write_rows

if TYPE_CHECKING:
    from snapdir.api.lineage import Lineage
    from snapdir.catalog.lineage import Relation
    from snapdir.catalog.record import Record

__all__ = [
    "GRAPHS",
    "NO_LOCATION",
    "catalog_missing",
    "formats",
    "history",
    "place",
    "shared_history",
    "steps",
    "write_lineage",
    "write_locations",
    "write_revisions",
]

NO_LOCATION = "missing --location option"
GRAPHS = ("dot", "mermaid")
ASK_A_STORE = "; --store names a store whose own history is read too"


def history() -> list[Flag]:
    """Which catalog is read."""
    return [*options.cache(), *options.catalog(purpose="The history to read")]


def place() -> list[Flag]:
    return [
        Single(
            "--location",
            metavar="<PLACE>",
            parse=text,
            section="History",
            help="Only what was recorded there: a directory or a store.",
        )
    ]


def steps() -> list[Flag]:
    return [
        Single(
            "--depth",
            metavar="<N>",
            parse=whole_number,
            section="Snapshot",
            help="Steps to go from the snapshot; default: to the end.",
        )
    ]


def formats(*more: str) -> list[Flag]:
    """``--format``: JSON lines unless told otherwise."""
    words = ("json", "table", *more)
    return [
        Single(
            "--format",
            "shape",
            metavar="<FORMAT>",
            parse=choice(*words),
            unset="json",
            section="Output",
            help=f"{', '.join(words[:-1])} or {words[-1]}; default: json, one object a line.",
        ),
        *options.output(),
    ]


def shared_history() -> list[Flag]:
    """Which store is asked as well."""
    return [
        Single(
            "--store",
            metavar="<URI>",
            parse=text,
            variable="SNAPDIR_STORE",
            section="History",
            help="Read the history that travels with this store as well.",
        ),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
    ]


def catalog_missing(invocation: Invocation, store: str | None = None) -> bool:
    """Whether no history is kept, and no store asked; then that is said, and there is nothing to ask."""
    missing = invocation.config.catalog is None and store is None
    if missing:
        invocation.terminal.note("catalog disabled (--catalog none): nothing to query")
    return missing


def _say_if_empty(invocation: Invocation, found: Sequence[object], advice: str = "") -> None:
    """Tell whoever watches a terminal why nothing came; scripts read the exit code and the data."""
    if not found and invocation.terminal.attended:
        invocation.terminal.note(f"nothing is recorded of that{advice}")


def write_locations(invocation: Invocation, records: Sequence[Record], shape: str) -> None:
    _say_if_empty(invocation, records)
    if shape == "json":
        write_json_lines({"created_at": r.created_at, "id": r.id, "location": r.location} for r in records)
        return
    rows = ((record.created_at, ShortId(record.id), record.location) for record in records)
    write_rows(("created_at", "id", "location"), rows, terminal=invocation.terminal)


def write_revisions(invocation: Invocation, records: Sequence[Record], shape: str) -> None:
    _say_if_empty(invocation, records, ASK_A_STORE)
    if shape == "json":
        write_json_lines(map(_revision, records))
        return
    columns = ("created_at", "id", "previous_id", "derived_from", "note", "labels")
    write_rows(columns, map(_revision_row, records), terminal=invocation.terminal)


def _revision(record: Record) -> dict[str, Any]:
    fields = {"created_at": record.created_at, "id": record.id, "previous_id": record.previous_id}
    return fields | record.provenance_fields()


def _revision_row(record: Record) -> list[Cell]:
    return [
        record.created_at,
        ShortId(record.id),
        None if record.previous_id is None else ShortId(record.previous_id),
        ", ".join(record.derived_from) or None,
        record.note,
        ", ".join(f"{key}={value}" for key, value in record.labels) or None,
    ]


def write_lineage(invocation: Invocation, found: Lineage, shape: str) -> None:
    """Print a lineage: as JSON lines, a table, or a graph."""
    _say_if_empty(invocation, found.relations, ASK_A_STORE)
    if shape in GRAPHS:
        invocation.print(_drawn(found, shape).rstrip("\n"))
    elif shape == "json":
        write_json_lines(map(_step, found.relations))
    else:
        columns = ("depth", "relation", "id", "of", "location", "created_at")
        write_rows(columns, _step_rows(found.relations), terminal=invocation.terminal)


def _drawn(found: Lineage, shape: str) -> str:
    from snapdir.catalog.graph import Graph, lineage_graph, to_dot, to_mermaid

    draw: Callable[[Graph], str] = to_dot if shape == "dot" else to_mermaid
    return draw(lineage_graph(found.focus, found.relations, found.records, backward=found.backward))


def _step(relation: Relation) -> dict[str, Any]:
    return {
        "created_at": relation.created_at,
        "id": relation.id,
        "location": relation.location,
        "relation": relation.relation,
        "of": relation.of,
        "depth": relation.depth,
    }


def _step_rows(relations: Sequence[Relation]) -> Iterator[list[Cell]]:
    for found in relations:
        yield [found.depth, found.relation, ShortId(found.id), ShortId(found.of), found.location, found.created_at]
