"""snapdir ancestors: what a snapshot came from."""

from __future__ import annotations

from typing import Any

import click

from snapdir.cli.commands.lineage import lineage_flags, show_lineage
from snapdir.cli.invocation import Invocation
from snapdir.cli.verb import Verb


@click.command(
    "ancestors",
    cls=Verb,
    params=lineage_flags(),
    examples=[
        "snapdir ancestors --id $MODEL --format table",
        "snapdir ancestors --id $MODEL --store s3://bucket/models --open-html lineage.html",
    ],
)
@click.pass_obj
def command(invocation: Invocation, /, **asked: Any) -> None:
    """List what a snapshot came from: the whole chain, nearest first.

    Two relations lead back: history (what was at its location before it) and derived (what push --derived-from said).
    """
    show_lineage(invocation, backward=True, **asked)
