"""snapdir man: the manual page, made from what the helps say."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

import snapdir
from snapdir.cli.configuration import VARIABLES
from snapdir.cli.parameters import Flag, Positional
from snapdir.cli.terminal import write_output
from snapdir.cli.verb import Verb

EXIT_CODES = (
    ("0", "Success."),
    ("1", "A failure; one line on stderr says what and which."),
    ("2", "A wrong command line or variable."),
    ("128+n", "Ended by signal n: 130 for Ctrl-C."),
)


@click.command(
    "man",
    cls=Verb,
    needs_config=False,
    examples=["snapdir man | man -l -", "snapdir man > /usr/local/share/man/man1/snapdir.1"],
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the manual page, in roff."""
    program = ctx.find_root()
    write_output("\n".join(_page(program, snapdir.version())) + "\n")


def _page(program: click.Context, version: str) -> Iterator[str]:
    root = program.command
    yield f'.TH SNAPDIR 1 "" "snapdir {_text(version)}" "User Commands"'
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
