"""snapdir version: which snapdir this is."""

from __future__ import annotations

import click

import snapdir
from snapdir.cli.parameters import Flag
from snapdir.cli.terminal import write_output
from snapdir.cli.verb import Verb

WIRE = 1
CAPABILITIES = ("objects-needed", "send-pack", "receive-pack")


@click.command(
    "version",
    cls=Verb,
    params=[Flag("--capabilities", is_flag=True, hidden=True)],
    needs_config=False,
    examples=["snapdir version", "snapdir --version"],
)
def command(*, capabilities: bool) -> None:
    """Print the version."""
    write_output(f"snapdir {snapdir.version()}{_capabilities() if capabilities else ''}\n")


def _capabilities() -> str:
    """What another snapdir, which talks to this one through a pipe, may use. Only what works is listed."""
    from snapdir.transfer.packs.streams import has_zstd

    able = [*CAPABILITIES, *(["snappack-zstd"] if has_zstd() else [])]
    return f" wire={WIRE} caps={','.join(able)}"
