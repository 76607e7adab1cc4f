"""What a wrong command line is told, and how a command's help looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from snapdir.errors import InvalidOption

if TYPE_CHECKING:
    from snapdir.cli.parameters import Flag

__all__ = ["UsageMistake", "located", "similar", "usage_text", "write_examples", "write_options"]

ROOT_USAGE = "Usage: snapdir [OPTIONS] <COMMAND>"


class UsageMistake(click.UsageError):
    """A usage error in its final words, with an optional way out."""

    def __init__(self, message: str, ctx: click.Context | None = None, *, tip: str = "") -> None:
        super().__init__(message, ctx)
        self.tip = tip


@contextmanager
def located(ctx: click.Context) -> Iterator[None]:
    """Make every wrong value or argument met in the block a usage error of the command in ``ctx``."""
    try:
        yield
    except InvalidOption as error:
        raise UsageMistake(str(error), ctx) from error
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def usage_text(error: click.UsageError) -> str:
    """The lines for stderr: what is wrong, a tip where there is one, the usage, the way to the help."""
    mistake = error if isinstance(error, UsageMistake) else _in_our_words(error)
    tip = f"\n\n  tip: {mistake.tip}" if mistake.tip else ""
    usage = error.ctx.get_usage() if error.ctx is not None else ROOT_USAGE
    return f"error: {mistake.message}{tip}\n\n{usage}\n\nFor more information, try '--help'."


def _in_our_words(error: click.UsageError) -> UsageMistake:
    """click's own errors, told by their class and attributes."""
    if isinstance(error, click.NoSuchOption):
        return _unknown_option(error)
    if isinstance(error, click.BadOptionUsage):
        return UsageMistake(_wrong_use(error))
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return UsageMistake(f"the following required arguments were not provided: {_spelling(error.param)}")
    return UsageMistake(error.format_message())


def _unknown_option(error: click.NoSuchOption) -> UsageMistake:
    tip = similar("argument", error.option_name, _option_names(error.ctx))
    if error.ctx is not None and isinstance(error.ctx.command, click.Group):
        tip = _behind_a_command(error.ctx, error.ctx.command, error.option_name) or tip
    return UsageMistake(f"unexpected argument '{error.option_name}' found", tip=tip)


def _behind_a_command(ctx: click.Context, program: click.Group, name: str) -> str:
    """Where an option belongs that the program does not know and a command does."""
    verbs = (program.get_command(ctx, verb) for verb in program.list_commands(ctx))
    known = any(name in option.opts for verb in verbs if verb is not None for option in verb.params)
    return f"options of a command stand behind it: snapdir COMMAND {name}" if known else ""


def _wrong_use(error: click.BadOptionUsage) -> str:
    option = next((option for option in _options(error.ctx) if error.option_name in option.opts), None)
    if option is None:
        return error.format_message()
    if option.is_flag:
        return f"unexpected value for '{error.option_name}': it takes none"
    return f"a value is required for '{_spelling(option)}' but none was supplied"


def _spelling(parameter: click.Parameter) -> str:
    longest = max(parameter.opts, key=len)
    return f"{longest} {parameter.metavar}" if parameter.metavar else longest


def _options(ctx: click.Context | None) -> Iterator[click.Option]:
    for parameter in ctx.command.params if ctx is not None else ():
        if isinstance(parameter, click.Option):
            yield parameter


def _option_names(ctx: click.Context | None) -> list[str]:
    return [name for option in _options(ctx) if not option.hidden for name in option.opts if name.startswith("--")]


def similar(kind: str, word: str, known: Sequence[str]) -> str:
    """``a similar argument exists: '--store'``, or nothing when no word is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"a similar {kind} exists: '{close[0]}'" if close else ""


def write_options(formatter: click.HelpFormatter, options: Iterable[Flag]) -> None:
    """The visible options, under the headings of their sections in order of appearance."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for option in options:
        if not option.hidden:
            sections.setdefault(option.section, []).append((_names(option), _description(option)))
    for heading, rows in sections.items():
        with formatter.section(heading):
            formatter.write_dl(rows, col_max=28)


def _names(option: Flag) -> str:
    short = next((name for name in option.opts if not name.startswith("--")), None)
    return (f"{short}, " if short else "    ") + option.spelling


def _description(option: Flag) -> str:
    return (option.help or "") + (f" [env: {option.variable}]" if option.variable else "")


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    """Command lines that work as they stand, unwrapped."""
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"{'':{formatter.current_indent}}{example}\n")
