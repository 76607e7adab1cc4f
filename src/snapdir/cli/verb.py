"""The class of every command: strict arguments, universal options, help in sections, an Invocation for the body."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import click

import snapdir
from snapdir.cli.options import universal
from snapdir.cli.parameters import BareSetting, Flag, Positional, kind_of, section, settings_of
from snapdir.cli.settings import VARIABLES, config_from
from snapdir.cli.terminal import Terminal, write_output
from snapdir.cli.usage import UsageMistake, located

if TYPE_CHECKING:
    from snapdir.cli.invocation import Invocation

HELP_WIDTH = 100


class Verb(click.Command):
    """One command.

    Args:
        examples: At least two command lines for the help.
        variables: Environment variables without an option that the command reads.
        needs_config: False for a body that takes no Invocation; it runs even without a home directory.
        moves_data: False for a command that neither hashes nor transfers: its help has no options about progress.
    """

    def __init__(
        self,
        name: str | None,
        *,
        params: Sequence[click.Parameter] = (),
        examples: Sequence[str] = (),
        variables: Sequence[str] = (),
        needs_config: bool = True,
        moves_data: bool = True,
        **attributes: Any,
    ) -> None:
        context_settings = {"allow_extra_args": True, "max_content_width": HELP_WIDTH}  # parse_args refuses them itself
        super().__init__(
            name,
            params=[*params, *universal(progress=moves_data and needs_config), *information()],
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
            typed = ctx.meta["snapdir.typed"] = tuple(args)  # click empties the list
            rest = super().parse_args(ctx, args)
            if not ctx.resilient_parsing:
                self._refuse_surplus(rest, typed, ctx.params)
        return rest

    def _refuse_surplus(self, rest: Sequence[str], typed: Sequence[str], given: Mapping[str, Any]) -> None:
        """Refuse more arguments than the command takes, and a store where it takes a directory."""
        paths = [given[param.name or ""] for param in self.params if isinstance(param, Positional) and param.is_path]
        store = next((path for path in paths if path and "://" in path and not os.path.exists(path)), None)
        if not rest and store is None:
            return
        takes_options = all(param.is_path for param in self.params if isinstance(param, Positional))
        line = ""
        if takes_options:
            from snapdir.cli.tips import line_for_one_file, line_of_other_verb, line_with_options

            known = [name for param in self.params if not getattr(param, "hidden", False) for name in param.opts]
            words = [path for path in paths if path] + list(rest)
            line = line_with_options(self.name or "", typed, words, known, places=len(paths))
            if other := line_of_other_verb(self.name or "", words):
                line = f"{other} (for a copy of the whole store: {line})"
            elif line and (single := line_for_one_file(self.name or "", words)):
                line = f"{single} (for the whole snapshot: {line.replace(words[1], 'DIR')})"
        mistake = f"unexpected argument '{rest[0]}' found" if rest else f"'{store}' is a store, not a directory"
        raise UsageMistake(mistake, tip=f"write: {line}" if line else "")

    def invoke(self, ctx: click.Context) -> Any:
        if self.needs_config:
            ctx.obj = self._invocation(ctx)
        return super().invoke(ctx)

    def _invocation(self, ctx: click.Context) -> Invocation:
        from snapdir.cli.invocation import Invocation

        with located(ctx):
            config = config_from(settings_of(ctx), self.variables)
        typed = settings_of(ctx).get("limit_rate", "") if config.stores.limit_rate_bytes else ""
        remote = self._names_a_remote_store(ctx.params)
        return Invocation(terminal_from(ctx), config, ctx.info_name or "", limit_rate=typed, remote=remote)

    def _names_a_remote_store(self, values: Mapping[str, Any]) -> bool:
        shown = (each for each in self.params if not getattr(each, "hidden", False))
        stores = (values.get(each.name or "") for each in shown if kind_of(each.metavar or "") == "STORE")
        texts = (text for value in stores for text in (value if isinstance(value, tuple) else (value,)) if text)
        return any("://" in text and not text.startswith("file:") for text in texts)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_help(self, ctx, formatter)
        if self.variables:
            with formatter.section("Environment"):
                formatter.write_dl([(name, VARIABLES[name]) for name in self.variables])
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")  # unwrapped, to be copied


def command(*params: click.Parameter, **attributes: Any) -> Callable[[Callable[..., None]], Verb]:
    """Make a function the command of its name. Its first argument is an ``Invocation``; its docstring is the help.

    Args:
        attributes: As for ``Verb``.
    """

    def made(body: Callable[..., None]) -> Verb:
        return Verb(
            body.__name__.replace("_", "-"),
            params=params,
            callback=click.pass_obj(body),
            help=body.__doc__,
            **attributes,
        )

    return made


def write_help(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The purpose of the command, its usage and its options."""
    purpose, _, details = cleandoc(command.help or "").partition("\n\n")
    formatter.write(f"{purpose}\n\n")
    command.format_usage(ctx, formatter)
    if details:
        formatter.write_paragraph()
        formatter.write_text(details)
    arguments = [(each.metavar or "", each.use) for each in command.params if isinstance(each, Positional) and each.use]
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    write_options(formatter, (option for option in command.params if isinstance(option, Flag)))


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


def terminal_from(ctx: click.Context) -> Terminal:
    settings = settings_of(ctx)
    return Terminal.detect(
        quiet=settings.get("quiet", False),
        verbose=settings.get("verbose", False),
        progress="none" if settings.get("no_progress") else settings.get("progress", "auto"),
        color=settings.get("color", "auto"),
        interval_seconds=settings.get("progress_interval"),
        log_level=settings.get("log_level", ""),
    )


def information() -> list[Flag]:
    """-h and -V, which print and end the run before anything else is parsed."""
    eager: dict[str, Any] = {"is_eager": True, "expose_value": False}
    return section(
        "Universal options",
        Flag("-h", "--help", callback=_show_help, help="Show this help.", **eager),
        Flag("-V", "--version", callback=_show_version, help="Show the version.", **eager),
    )


def _show_help(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
    if is_set and not ctx.resilient_parsing:
        write_output(ctx.get_help() + "\n")
        ctx.exit()


def _show_version(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
    if is_set and not ctx.resilient_parsing:
        write_output(f"{ctx.command_path.replace(' ', '-')} {snapdir.version()}\n")
        ctx.exit()
