"""snapdir locations: where snapshots are, as far as the history knows."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.lineage_output import catalog_missing, formats, history, place, write_locations
from snapdir.cli.parameters import Single, text
from snapdir.cli.verb import Verb


@click.command(
    "locations",
    cls=Verb,
    params=[
        *place(),
        Single("--store", metavar="<URI>", parse=text, section="History", help="Only this store."),
        *options.snapshot("Only locations whose latest snapshot is this one"),
        *history(),
        *formats(),
    ],
    examples=["snapdir locations", "snapdir locations --id $ID --format table"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    location: str | None,
    store: str | None,
    snapshot_id: str | None,
    shape: str,
    as_json: bool,
) -> None:
    """List every store and directory with the latest snapshot recorded there.

    Snapshots are recorded by push and stage, and by manifest if it is told a catalog.
    """
    if catalog_missing(invocation):
        return
    ask = partial(snapdir.locations, location=location, snapshot_id=snapshot_id, store=store, config=invocation.config)
    write_locations(invocation, invocation.run(ask), "json" if as_json else shape)
