"""The program about itself: help, man, version, autocomplete."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

import snapdir
from snapdir.cli.parameters import Flag, Positional
from snapdir.cli.settings import VARIABLES
from snapdir.cli.terminal import write_output
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb
from snapdir.model.words import listed

SHELLS = ("bash", "elvish", "fish", "powershell", "zsh")

EXIT_CODES = (
    ("0", "Success."),
    ("1", "A failure; one line on stderr describes it."),
    ("2", "An invalid command line or variable."),
    ("128+n", "Ended by signal n: 130 for Ctrl-C."),
)

WIRE = 1
CAPABILITIES = ("objects-needed", "send-pack", "receive-pack")


@click.command(
    "help",
    cls=Verb,
    params=[Positional("verb", required=False, metavar="[COMMAND]", use="A command; default: the program itself.")],
    needs_config=False,
    examples=["snapdir help", "snapdir help push"],
)
@click.pass_context
def help(ctx: click.Context, *, verb: str | None) -> None:
    """Show the help of the program, or of one command."""
    program = ctx.find_root()
    shown = program
    if verb is not None and isinstance(program.command, click.Group):
        name, found, _ = program.command.resolve_command(program, [verb])
        if found is not None:
            shown = click.Context(found, parent=program, info_name=name, max_content_width=program.max_content_width)
    write_output(shown.get_help() + "\n")


@click.command(
    "version",
    cls=Verb,
    params=[Flag("--capabilities", hidden=True)],
    needs_config=False,
    examples=["snapdir version", "snapdir --version"],
)
def version(*, capabilities: bool) -> None:
    """Print the version."""
    write_output(f"snapdir {snapdir.version()}{_capabilities() if capabilities else ''}\n")


def _capabilities() -> str:
    """The capabilities that another snapdir may use through a pipe."""
    from snapdir.transfer.packs.streams import has_zstd

    able = [*CAPABILITIES, *(["snappack-zstd"] if has_zstd() else [])]
    return f" wire={WIRE} caps={','.join(able)}"


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
def autocomplete(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell.

    bash, fish and zsh complete commands, options, directories and the ids of cached snapshots; elvish and powershell
    complete commands and options.
    """
    from snapdir.cli.completion import script

    if shell not in SHELLS:
        raise UsageMistake(f"invalid value '{shell}' for '<SHELL>': expected {listed(SHELLS)}")
    write_output(script(ctx.find_root().command, shell))


completions = autocomplete


@click.command(
    "man",
    cls=Verb,
    needs_config=False,
    examples=["snapdir man | man -l -", "snapdir man > /usr/local/share/man/man1/snapdir.1"],
)
@click.pass_context
def man(ctx: click.Context) -> None:
    """Print the manual page, in roff."""
    write_output("\n".join(_page(ctx.find_root())) + "\n")


def _page(program: click.Context) -> Iterator[str]:
    root = program.command
    yield f'.TH SNAPDIR 1 "" "snapdir {_text(snapdir.version())}" "User Commands"'
    yield from (".SH NAME", rf"snapdir \- {_text((root.help or '').rstrip('.'))}")
    yield from (".SH SYNOPSIS", r".B snapdir", r"[OPTIONS] <COMMAND>")
    yield from (".SH OPTIONS", *_options(root))
    yield ".SH COMMANDS"
    if isinstance(root, click.Group):
        for name in root.list_commands(program):
            verb = root.get_command(program, name)
            if verb is not None:
                yield from _verb(click.Context(verb, parent=program, info_name=name))
    yield from (".SH ENVIRONMENT", *(line for name, use in VARIABLES.items() for line in _tagged(name, use)))
    yield from (".SH EXIT STATUS", *(line for code, meaning in EXIT_CODES for line in _tagged(code, meaning)))


def _verb(ctx: click.Context) -> Iterator[str]:
    purpose, _, details = cleandoc(ctx.command.help or "").partition("\n\n")
    yield f".SS {_text(' '.join(ctx.get_usage().removeprefix('Usage: ').split()))}"
    yield _text(purpose)
    for paragraph in filter(None, details.split("\n\n")):
        yield from (".PP", _text(paragraph))
    for argument in ctx.command.params:
        if isinstance(argument, Positional):
            yield from _tagged(argument.metavar or "", argument.use)
    yield from _options(ctx.command)
    yield from (".PP", "Examples:", ".nf", *map(_text, getattr(ctx.command, "examples", ())), ".fi")


def _options(command: click.Command) -> Iterator[str]:
    for option in command.params:
        universal = isinstance(command, Verb) and isinstance(option, Flag) and option.section == "Universal options"
        if isinstance(option, Flag) and not option.hidden and not universal:
            variable = f" [env: {option.variable}]" if option.variable else ""
            yield from _tagged(", ".join([*option.opts[:-1], option.spelling]), (option.help or "") + variable)


def _tagged(tag: str, text: str) -> tuple[str, str, str]:
    return ".TP", rf"\fB{_text(tag)}\fR", _text(text)


def _text(text: str) -> str:
    r"""``text`` as roff that prints it: no line is a request, and a hyphen is the character of a command line."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
