"""snapdir descendants: what came from a snapshot."""

from __future__ import annotations

from typing import Any

import click

from snapdir.cli.commands.lineage import lineage_flags, show_lineage
from snapdir.cli.invocation import Invocation
from snapdir.cli.verb import Verb


@click.command(
    "descendants",
    cls=Verb,
    params=lineage_flags(),
    examples=[
        "snapdir descendants --id $DATASET",
        "snapdir descendants --id $DATASET --format table",
    ],
)
@click.pass_obj
def command(invocation: Invocation, /, **asked: Any) -> None:
    """List what came from a snapshot: the whole chain, nearest first.

    Two relations lead on: history (what followed it at a location) and derived (what push --derived-from said).
    """
    show_lineage(invocation, backward=False, **asked)
