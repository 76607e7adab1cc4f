"""snapdir help: what ``--help`` prints, of the program or of one verb."""

from __future__ import annotations

import click

from snapdir.cli.parameters import Positional
from snapdir.cli.terminal import write_output
from snapdir.cli.verb import Verb


@click.command(
    "help",
    cls=Verb,
    params=[Positional("verb", required=False, metavar="[COMMAND]", use="A command; default: the program itself.")],
    needs_config=False,
    examples=["snapdir help", "snapdir help push"],
)
@click.pass_context
def command(ctx: click.Context, *, verb: str | None) -> None:
    """Show the help of the program, or of one command."""
    program = ctx.find_root()
    shown = program
    if verb is not None and isinstance(program.command, click.Group):
        name, found, _ = program.command.resolve_command(program, [verb])
        if found is not None:
            shown = click.Context(found, parent=program, info_name=name, max_content_width=program.max_content_width)
    write_output(shown.get_help() + "\n")
