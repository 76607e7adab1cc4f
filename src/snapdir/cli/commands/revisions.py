"""snapdir revisions: what a location held."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.lineage_output import NO_LOCATION, catalog_missing, formats, history, place, write_revisions
from snapdir.cli.verb import Verb
from snapdir.errors import SnapdirError


@click.command(
    "revisions",
    cls=Verb,
    params=[
        *place(),
        *options.store(),
        *options.snapshot("Only this snapshot"),
        *history(),
        *formats(),
    ],
    examples=["snapdir revisions --store s3://bucket/sets", "snapdir revisions --location ./data --format table"],
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
    """List the snapshots recorded at a location, newest first.

    The location is --location, else the store, whose own history is read too. `snapdir log` also
    counts what each of them changed.
    """
    if catalog_missing(invocation, store):
        return
    where = store if location is None else location
    if not where:
        raise SnapdirError(NO_LOCATION)
    ask = partial(snapdir.revisions, where, snapshot_id=snapshot_id, store=store, config=invocation.config)
    found = invocation.run(partial(ask, counters=invocation.counters), store=store)
    write_revisions(invocation, found, "json" if as_json else shape)
