"""The program: the group of commands, and the one place that prints errors and exits.

Exit codes: 0 success, 1 a failure (one line on stderr), 2 a wrong command line or variable, 128 + n ended by signal n
(130 for Ctrl-C, 141 if the reader of stdout is gone).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, NoReturn

import click

from snapdir.cli.commands import COMMANDS, GROUPS, HIDDEN
from snapdir.cli.options import universal
from snapdir.cli.process import keep_standard_descriptors, read_names_as_utf8
from snapdir.cli.terminal import OutputClosed, close_output, drop_closed_stderr, print_error, print_event
from snapdir.cli.usage import UsageMistake, located, similar, usage_text
from snapdir.cli.verb import HELP_WIDTH, information, write_options
from snapdir.errors import SnapdirError

MORE = """`snapdir help COMMAND` shows the options of a command, with examples;
`snapdir man` prints the manual page, `snapdir defaults` the settings in
effect."""

COMPLETION_VARIABLE = "_SNAPDIR_COMPLETE"
"""Set by the scripts of ``autocomplete`` when the shell asks for completions."""


class Program(click.Group):
    """The group: finds commands by name, and runs one to its exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with located(ctx):
            return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        del ctx
        home = COMMANDS.get(name) or HIDDEN.get(name)
        if home is None:
            return None
        command: click.Command = getattr(import_module(f"snapdir.cli.commands.{home}"), name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and ctx.resilient_parsing:
            return None, None, args[1:]
        if command is None:
            from snapdir.cli.tips import of_other_tools

            tip = of_other_tools(args[0], args[1:]) or similar("subcommand", args[0], list(COMMANDS))
            raise UsageMistake(f"unrecognized subcommand '{args[0]}'", ctx, tip=tip)
        return args[0], command, args[1:]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"{self.help}\n\n")
        self.format_usage(ctx, formatter)
        width = max(map(len, COMMANDS))
        for group, names in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), _purpose(self.get_command(ctx, name))) for name in names])
        write_options(formatter, [*universal(), *information()])
        formatter.write(f"\n{MORE}\n")

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **_: Any) -> NoReturn:  # type: ignore[override]
        """Run and exit, for callers of the group itself; click's own ``main`` would print errors in its words."""
        del prog_name
        sys.exit(exit_code(sys.argv[1:] if args is None else args))


def _purpose(command: click.Command | None) -> str:
    return ((command and command.help) or "").partition("\n\n")[0].rstrip(".")


@click.group(
    "snapdir",
    cls=Program,
    params=[*universal(), *information()],
    add_help_option=False,
    subcommand_metavar="<COMMAND>",
    invoke_without_command=True,
    context_settings={"max_content_width": HELP_WIDTH},
)
@click.pass_context
def root(ctx: click.Context) -> None:
    """Content-addressed snapshots of directories: push, pull and verify them exactly."""
    if ctx.invoked_subcommand is None:
        raise UsageMistake("'snapdir' requires a subcommand but one was not provided", ctx)


def main() -> NoReturn:
    """The console script."""
    read_names_as_utf8()
    keep_standard_descriptors()  # after a restart, which must see which of them are closed
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from snapdir.cli.completion import answer

        sys.exit(answer(root, instruction))
    code = exit_code(sys.argv[1:])
    drop_closed_stderr()
    gc.freeze()  # no collection at exit: 10 of the 130 ms of CPU that a small `snapdir id` takes
    sys.exit(code)


def exit_code(args: Sequence[str]) -> int:
    """Run the command line ``args``: every outcome becomes an exit code and at most one message."""
    try:
        return _run(args)
    except OutputClosed:
        close_output()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except click.UsageError as error:
        for line in usage_text(error).splitlines():
            print_error(line)
        return error.exit_code
    except Exception as error:
        return _failed(error, args)


def _run(args: Sequence[str]) -> int:
    if not args:
        with root.make_context("snapdir", []) as ctx:
            for line in ctx.get_help().splitlines():
                print_error(line)
        return 2
    try:
        with root.make_context("snapdir", list(args)) as ctx:
            root.invoke(ctx)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    return 0


def _prints_events(args: Sequence[str]) -> bool:
    """Whether everything on stderr is to be JSON; the command line may have failed before it was parsed."""
    given = [value for name, value in pairwise([*args, ""]) if name == "--progress"]
    given += [arg.removeprefix("--progress=") for arg in args if arg.startswith("--progress=")]
    return (given[-1] if given else os.environ.get("SNAPDIR_PROGRESS", "")) == "json"


def _failed(error: Exception, args: Sequence[str]) -> int:
    """Report a failure. Only a bug gets a traceback, and only with SNAPDIR_DEBUG=1."""
    from snapdir.cli import render
    from snapdir.cli.loop import Stopped

    if isinstance(error, Stopped):
        return 128 + error.number
    if isinstance(error, SnapdirError | OSError):
        if _prints_events(args):
            print_event("error", **render.error_facts(error))
        else:
            print_error(render.error_json(error) if "--json" in args else f"error: {render.error_line(error)}")
        return error.exit_code if isinstance(error, SnapdirError) else 1
    short_of = render.shortage(error)
    if os.environ.get("SNAPDIR_DEBUG") == "1":
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            print_error(line)
    print_error(f"error: {short_of or render.crash_line(error)}")
    return 1
