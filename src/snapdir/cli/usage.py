"""Errors of a wrong command line, in their final words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from snapdir.errors import InvalidOption

ROOT_USAGE = "Usage: snapdir [OPTIONS] <COMMAND>"


class UsageMistake(click.UsageError):
    """A usage error in its final words, with an optional tip."""

    def __init__(self, message: str, ctx: click.Context | None = None, *, tip: str = "") -> None:
        super().__init__(message, ctx or click.get_current_context(silent=True))
        self.tip = tip


@contextmanager
def located(ctx: click.Context) -> Iterator[None]:
    """Make every wrong value or argument in the block a usage error of the command in ``ctx``."""
    try:
        yield
    except InvalidOption as error:
        raise UsageMistake(str(error), ctx) from error
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def usage_text(error: click.UsageError) -> str:
    """The lines for stderr: the mistake, a tip if there is one, the usage, and how to get help."""
    mistake = error if isinstance(error, UsageMistake) else _in_our_words(error)
    tip = f"\n\n  tip: {mistake.tip}" if mistake.tip else ""
    usage = error.ctx.get_usage() if error.ctx is not None else ROOT_USAGE
    return f"error: {mistake.message}{tip}\n\n{usage}\n\nFor more information, try '--help'."


def _in_our_words(error: click.UsageError) -> UsageMistake:
    """The words for an error of click, by its class and attributes."""
    if isinstance(error, click.NoSuchOption):
        return _unknown_option(error)
    if isinstance(error, click.BadOptionUsage):
        return UsageMistake(_wrong_use(error))
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return UsageMistake(f"the following required arguments were not provided: {_spelling(error.param)}")
    return UsageMistake(error.format_message())


def _unknown_option(error: click.NoSuchOption) -> UsageMistake:
    from snapdir.cli.tips import of_other_options

    shown = {name: _spelling(each) for each in _options(error.ctx) if not each.hidden for name in each.opts}
    other = of_other_options(error.option_name, shown)
    tip = other or similar("argument", error.option_name, _option_names(error.ctx))
    if error.ctx is not None and isinstance(error.ctx.command, click.Group):
        tip = _behind_a_command(error.ctx, error.ctx.command, error.option_name) or tip
    return UsageMistake(f"unexpected argument '{error.option_name}' found", tip=tip)


def _behind_a_command(ctx: click.Context, program: click.Group, name: str) -> str:
    """A tip for an option of a command that stands before the command."""
    verbs = (program.get_command(ctx, verb) for verb in program.list_commands(ctx))
    known = any(name in option.opts for verb in verbs if verb is not None for option in verb.params)
    return f"options of a command go after it: snapdir COMMAND {name}" if known else ""


def _wrong_use(error: click.BadOptionUsage) -> str:
    option = next((option for option in _options(error.ctx) if error.option_name in option.opts), None)
    if option is None:
        return error.format_message()
    if option.is_flag:
        return f"unexpected value for '{error.option_name}': it takes no value"
    return f"a value is required for '{_spelling(option)}' but none was supplied"


def _spelling(parameter: click.Parameter) -> str:
    name = parameter.opts[-1]
    return f"{name} {parameter.metavar}" if parameter.metavar else name


def _options(ctx: click.Context | None) -> Iterator[click.Option]:
    for parameter in ctx.command.params if ctx is not None else ():
        if isinstance(parameter, click.Option):
            yield parameter


def _option_names(ctx: click.Context | None) -> list[str]:
    return [name for option in _options(ctx) if not option.hidden for name in option.opts if name.startswith("--")]


def similar(kind: str, word: str, known: Sequence[str]) -> str:
    """``a similar argument exists: '--store'``, or nothing when no word is close."""
    from difflib import get_close_matches

    # Without dashes, which make short options alike: --json and --version.
    bare = {name.lstrip("-"): name for name in known}
    close = get_close_matches(word.lstrip("-"), bare, n=1)
    return f"a similar {kind} exists: '{bare[close[0]]}'" if close else ""
