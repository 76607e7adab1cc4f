"""snapdir ancestors: what a snapshot came from."""

from __future__ import annotations

from functools import partial

import click

from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.lineage_output import (
    GRAPHS,
    catalog_missing,
    formats,
    history,
    place,
    shared_history,
    steps,
    write_lineage,
)
from snapdir.cli.lineage_page import page, write_page
from snapdir.cli.targets import NO_ID
from snapdir.cli.verb import Verb
from snapdir.errors import SnapdirError


@click.command(
    "ancestors",
    cls=Verb,
    params=[
        *options.snapshot("Snapshot to start from"),
        *steps(),
        *place(),
        *history(),
        *shared_history(),
        *formats(*GRAPHS),
        *page(),
    ],
    examples=[
        "snapdir ancestors --id $MODEL --format table",
        "snapdir ancestors --id $MODEL --store s3://bucket/models --open-html lineage.html",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    snapshot_id: str | None,
    depth: int | None,
    location: str | None,
    store: str | None,
    shape: str,
    as_json: bool,
    html: str | None,
) -> None:
    """List what a snapshot came from: the whole chain, nearest first.

    Two relations lead back: history (what was at its location before it) and derived (what push --derived-from said).
    """
    if catalog_missing(invocation, store):
        return
    from snapdir import api

    if snapshot_id is None:
        raise SnapdirError(NO_ID)
    found = invocation.run(
        partial(
            api.lineage,
            snapshot_id,
            backward=True,
            depth=depth,
            location=location,
            store=store,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=store,
    )
    write_lineage(invocation, found, "json" if as_json else shape)
    if html is not None:
        write_page(invocation, found, html)
