"""snapdir ancestors and descendants: one walk through the history, in two directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.commands.history import ADVICE, catalog_missing, formats, history, note_if_empty
from snapdir.cli.commands.report import write_page
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, section, whole_number
from snapdir.cli.tables import Cell, ShortId, write_json_lines, write_rows
from snapdir.cli.verb import command

GRAPHS = ("dot", "mermaid")


def _flags() -> list[Flag]:
    return [
        *options.snapshot("Snapshot to start from"),
        Single(
            "--depth",
            metavar="<N>",
            parse=whole_number,
            section="Snapshot",
            help="Follow at most N steps; default: all.",
        ),
        Flag(
            "--derived",
            section="Snapshot",
            help="Follow only --derived-from, not the snapshots before or after at the same location.",
        ),
        *history(),
        *section(
            "History",
            Single(
                "--store",
                metavar="<URI>",
                variable="SNAPDIR_STORE",
                help="Also read the history that is recorded in this store.",
            ),
        ),
        *settings.reading(),
        *formats(*GRAPHS),
        *section(
            "Output",
            Single(
                "--open-html",
                "html",
                metavar="<FILE>",
                help="Also write the graph to an HTML page, and open it if there is a display and a terminal.",
            ),
        ),
    ]


@command(
    *_flags(),
    moves_data=False,
    examples=[
        "snapdir ancestors --id $MODEL --format table",
        "snapdir ancestors --derived --id $MODEL",
        "snapdir ancestors --id $MODEL --store s3://bucket/models --open-html lineage.html",
    ],
)
def ancestors(invocation: Invocation, /, **given: Any) -> None:
    """List all ancestors of a snapshot, nearest first.

    There are two relations: history (the previous snapshot at the same location) and derived (a snapshot named by push
    --derived-from). The output is JSON, one object per line; --format table prints a table.
    """
    _show(invocation, backward=True, **given)


@command(
    *_flags(),
    moves_data=False,
    examples=[
        "snapdir descendants --id $DATASET",
        "snapdir descendants --id $DATASET --format table",
    ],
)
def descendants(invocation: Invocation, /, **given: Any) -> None:
    """List all descendants of a snapshot, nearest first.

    There are two relations: history (the next snapshot at the same location) and derived (a snapshot pushed with
    --derived-from). The output is JSON, one object per line; --format table prints a table.
    """
    _show(invocation, backward=False, **given)


def _show(
    invocation: Invocation, *, snapshot_id: str | None, shape: str, as_json: bool, html: str | None, **given: Any
) -> None:
    if catalog_missing(invocation, given["store"]):
        return
    found = invocation.run(snapdir.lineage, options.required_id(snapshot_id), **given)
    note_if_empty(invocation, found.relations, ADVICE)
    if as_json or shape == "json":
        write_json_lines(map(_step, found.relations))
    elif shape in GRAPHS:
        invocation.print(_drawn(found, shape).rstrip("\n"))
    else:
        columns = ("depth", "relation", "id", "of", "location", "created_at")
        write_rows(columns, _step_rows(found.relations), terminal=invocation.terminal)
    if html is not None:
        write_page(invocation, _page(found), html)


def _drawn(found: snapdir.Lineage, shape: str) -> str:
    from snapdir.catalog.graph import Graph, lineage_graph, to_dot, to_mermaid

    draw: Callable[[Graph], str] = to_dot if shape == "dot" else to_mermaid
    return draw(lineage_graph(found.focus, found.relations, found.records, backward=found.backward))


def _page(found: snapdir.Lineage) -> str:
    from snapdir.catalog.graph import lineage_graph
    from snapdir.cli.pages.lineage import lineage_page

    graph = lineage_graph(found.focus, found.relations, found.records, backward=found.backward)
    return lineage_page(graph, backward=found.backward)


def _step(relation: snapdir.Relation) -> dict[str, Any]:
    return {
        "created_at": relation.created_at,
        "id": relation.id,
        "location": relation.location,
        "relation": relation.relation,
        "of": relation.of,
        "depth": relation.depth,
    }


def _step_rows(relations: Sequence[snapdir.Relation]) -> Iterator[list[Cell]]:
    for found in relations:
        yield [found.depth, found.relation, ShortId(found.id), ShortId(found.of), found.location, found.created_at]
