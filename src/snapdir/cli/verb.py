"""The class of every subcommand: strict arguments, universal flags, help in sections, an Invocation for the body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import click

import snapdir
from snapdir.cli.configuration import VARIABLES, config_from
from snapdir.cli.options import universal
from snapdir.cli.parameters import BareSetting, Flag, Positional, settings_of
from snapdir.cli.terminal import Terminal, write_output
from snapdir.cli.usage import UsageMistake, located, write_examples, write_options
from snapdir.model.digest import ID_DIGITS, is_hexadecimal

if TYPE_CHECKING:
    from snapdir.cli.invocation import Invocation

__all__ = ["Verb", "information"]

HELP_WIDTH = 100


class Verb(click.Command):
    """One subcommand. Its body gets an ``Invocation`` first (``@click.pass_obj``).

    Args:
        examples: Two command lines for the help.
        variables: Environment variables without a flag that the verb reads.
        needs_config: False for a body that takes no Invocation, and then runs even where there is no home.
    """

    def __init__(
        self,
        name: str | None,
        *,
        params: Sequence[click.Parameter] = (),
        examples: Sequence[str] = (),
        variables: Sequence[str] = (),
        needs_config: bool = True,
        **attributes: Any,
    ) -> None:
        context_settings = {"allow_extra_args": True, "max_content_width": HELP_WIDTH}  # parse_args refuses them itself
        super().__init__(
            name,
            params=[*params, *universal(), *information()],
            add_help_option=False,
            context_settings=context_settings,
            **attributes,
        )
        self.examples = examples
        self.variables = variables
        self.needs_config = needs_config

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for option in self.params:
            if isinstance(option, BareSetting):
                args = option.completed(args)
        with located(ctx):
            rest = super().parse_args(ctx, args)
            if rest and not ctx.resilient_parsing:
                raise UsageMistake(f"unexpected argument '{rest[0]}' found", tip=self._tip(rest[0], ctx.params))
        return rest

    def _tip(self, surplus: str, given: Mapping[str, Any]) -> str:
        positionals = [param for param in self.params if isinstance(param, Positional)]
        if not all(param.is_path for param in positionals):
            return ""
        words = (surplus, *(given[param.name or ""] for param in positionals))
        return next(filter(None, (_option_for(word, self.params) for word in words)), "")

    def invoke(self, ctx: click.Context) -> Any:
        if self.needs_config:
            ctx.obj = self._invocation(ctx)
        return super().invoke(ctx)

    def _invocation(self, ctx: click.Context) -> Invocation:
        from snapdir.cli.invocation import Invocation

        with located(ctx):
            config = config_from(settings_of(ctx), self.variables)
        rate = settings_of(ctx).get("limit_rate")
        typed = rate.typed if rate and rate.size_bytes else ""
        return Invocation(terminal=terminal_from(ctx), config=config, limit_rate=typed)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_help(self, ctx, formatter)
        if self.variables:
            with formatter.section("Environment"):
                formatter.write_dl([(name, VARIABLES[name]) for name in self.variables])
        write_examples(formatter, self.examples)


def write_help(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """What it does, how it is called, and its options."""
    purpose, _, details = cleandoc(command.help or "").partition("\n\n")
    formatter.write(f"{purpose}\n\n")
    command.format_usage(ctx, formatter)
    if details:
        formatter.write_paragraph()
        formatter.write_text(details)
    arguments = [(one.metavar or "", one.use) for one in command.params if isinstance(one, Positional) and one.use]
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    write_options(formatter, (option for option in command.params if isinstance(option, Flag)))


def terminal_from(ctx: click.Context) -> Terminal:
    settings = settings_of(ctx)
    return Terminal.detect(
        quiet=settings.get("quiet", False),
        verbose=settings.get("verbose", False),
        progress=not settings.get("no_progress", False),
        color=settings.get("color", "auto"),
    )


def information() -> list[Flag]:
    """-h and -V, which print and end the run before anything else is looked at."""
    section = "Universal options"
    eager: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False, "section": section}
    return [
        Flag("-h", "--help", callback=_show_help, help="Show this help.", **eager),
        Flag("-V", "--version", callback=_show_version, help="Show the version.", **eager),
    ]


def _show_help(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        write_output(ctx.get_help() + "\n")
        ctx.exit()


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        write_output(f"{ctx.command_path.replace(' ', '-')} {snapdir.version()}\n")
        ctx.exit()


def _option_for(surplus: str, params: Iterable[click.Parameter]) -> str:
    """The options that name a store or a snapshot, where that is what stands without one; nothing otherwise."""
    known = [name for param in params if not getattr(param, "hidden", False) for name in param.opts]
    if is_hexadecimal(surplus) and len(surplus) == ID_DIGITS:
        wanted = ["--id"] if "--id" in known else []
    elif "://" in surplus:
        wanted = [name for name in ("--store", "--from", "--to") if name in known]
    else:
        wanted = []
    return f"stores and snapshots are named by options here: {', '.join(wanted)}" if wanted else ""
