"""snapdir descendants: what came from a snapshot."""

from __future__ import annotations

from functools import partial

import click

from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.lineage_output import GRAPHS, catalog_missing, formats, history, place, steps, write_lineage
from snapdir.cli.targets import NO_ID
from snapdir.cli.verb import Verb
from snapdir.errors import SnapdirError


@click.command(
    "descendants",
    cls=Verb,
    params=[
        *options.snapshot("Snapshot to start from"),
        *steps(),
        *place(),
        *history(),
        *formats(*GRAPHS),
        *options.accepted("--store"),
    ],
    examples=["snapdir descendants --id $DATASET", "snapdir descendants --id $DATASET --format table"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    snapshot_id: str | None,
    depth: int | None,
    location: str | None,
    shape: str,
    as_json: bool,
) -> None:
    """List what came from a snapshot: the whole chain, nearest first.

    Two relations lead on: history (what followed it at a location) and derived (what push --derived-from said).
    """
    if catalog_missing(invocation):
        return
    from snapdir import api

    if snapshot_id is None:
        raise SnapdirError(NO_ID)
    ask = partial(api.lineage, snapshot_id, backward=False, depth=depth, location=location, config=invocation.config)
    write_lineage(invocation, invocation.run(ask), "json" if as_json else shape)
