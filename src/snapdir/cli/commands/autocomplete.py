"""snapdir autocomplete: the script that makes a shell complete command lines."""

from __future__ import annotations

import click

from snapdir.cli.parameters import Positional
from snapdir.cli.terminal import write_output
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb

SHELLS = ("bash", "elvish", "fish", "powershell", "zsh")


@click.command(
    "autocomplete",
    cls=Verb,
    params=[Positional("shell", metavar="<SHELL>", use="bash, elvish, fish, powershell or zsh.", words=SHELLS)],
    needs_config=False,
    examples=[
        'eval "$(snapdir autocomplete bash)"        # in ~/.bashrc',
        'eval "$(snapdir autocomplete zsh)"         # in ~/.zshrc, after compinit',
        "snapdir autocomplete fish > ~/.config/fish/completions/snapdir.fish",
    ],
)
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell.

    Verbs, options, directories and the ids of cached snapshots are completed in bash, fish and zsh; verbs and options
    in the other two.
    """
    from snapdir.cli.completion import script

    if shell not in SHELLS:
        raise UsageMistake(f"invalid value '{shell}' for '<SHELL>': expected {', '.join(SHELLS[:-1])} or {SHELLS[-1]}")
    write_output(script(ctx.find_root().command, shell))
