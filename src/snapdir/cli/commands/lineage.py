"""What ``ancestors`` and ``descendants`` are made of: one walk through the history, in two directions."""

from __future__ import annotations

from functools import partial

import snapdir
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
from snapdir.cli.parameters import Flag
from snapdir.cli.targets import NO_ID
from snapdir.errors import SnapdirError

__all__ = ["lineage_flags", "show_lineage"]


def lineage_flags() -> list[Flag]:
    return [
        *options.snapshot("Snapshot to start from"),
        *steps(),
        *place(),
        *history(),
        *shared_history(),
        *formats(*GRAPHS),
        *page(),
    ]


def show_lineage(
    invocation: Invocation,
    *,
    backward: bool,
    snapshot_id: str | None,
    depth: int | None,
    location: str | None,
    store: str | None,
    shape: str,
    as_json: bool,
    html: str | None,
) -> None:
    """Print what led to a snapshot, or what came from it, and draw it where ``html`` says.

    Raises:
        SnapdirError: there is no id, nothing that is one, or no catalog to read.
        LocalError: the page cannot be written.
    """
    if catalog_missing(invocation, store):
        return
    if snapshot_id is None:
        raise SnapdirError(NO_ID)
    found = invocation.run(
        partial(
            snapdir.lineage,
            snapshot_id,
            backward=backward,
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
