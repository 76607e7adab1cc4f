"""snapdir version: which snapdir this is."""

from __future__ import annotations

import click

from snapdir.cli.terminal import write_output
from snapdir.cli.verb import Verb


@click.command("version", cls=Verb, needs_config=False, examples=["snapdir version", "snapdir --version"])
def command() -> None:
    """Print the version."""
    from snapdir.api import version

    write_output(f"snapdir {version()}\n")
