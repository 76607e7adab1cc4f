"""Options and arguments: each knows its section of the help, its variable, and what a shell may offer for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from snapdir.cli.usage import UsageMistake
from snapdir.errors import InvalidOption
from snapdir.model.words import require_word

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Parser = Callable[[str, str], Any]
"""Turns the text of the option or variable named second into a value, or raises InvalidOption."""

SWITCH_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_WHOLE_NUMBER = re.compile(r"\+?[0-9]{1,9}", re.ASCII).fullmatch
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII).fullmatch


class Flag(click.Option):
    """An option: a switch, unless it has a metavar. Hidden options are accepted but not shown.

    Args:
        inverted: The verb gets False if the switch is given, else True.
    """

    def __init__(
        self,
        *declarations: str,
        section: str = "Options",
        variable: str = "",
        inverted: bool = False,
        **attributes: Any,
    ) -> None:
        if "metavar" not in attributes:
            attributes["is_flag"] = True
        if inverted:
            attributes["callback"] = _negated
        super().__init__(list(declarations), **attributes)
        self.section = section
        self.variable = variable

    @property
    def long_name(self) -> str:
        """The name that is shown: the last one declared."""
        return self.opts[-1]

    @property
    def spelling(self) -> str:
        """The long form, as in ``--store <URI>``."""
        return f"{self.long_name} {self.metavar}" if self.metavar else self.long_name

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        del ctx
        return suggestions(self.metavar or "", incomplete)


def _negated(_ctx: click.Context, _: click.Parameter, given: bool) -> bool:
    return not given


def section(heading: str, *options: Flag) -> list[Flag]:
    """``options`` under a heading of the help."""
    for option in options:
        option.section = heading
    return list(options)


class Positional(click.Argument):
    """An argument. Its metavar says what a shell may offer for it.

    Args:
        use: Its description in the help.
        words: All possible values, if they are few.
        is_path: A path, while stores and snapshots are named by options.
    """

    def __init__(
        self,
        name: str,
        *,
        metavar: str,
        use: str = "",
        words: Sequence[str] = (),
        is_path: bool = False,
        **attributes: Any,
    ) -> None:
        super().__init__([name], metavar=metavar, **attributes)
        self.use = use
        self.words = words
        self.is_path = is_path

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        del ctx
        return suggestions(self.metavar or "", incomplete, self.words)


def text(value: str, source: str) -> str:
    """Any text, also an empty one."""
    del source
    return value


class Single(Flag):
    """An option with one value, which may not be given twice; else its variable's value; else ``unset``.

    An empty variable is unset, unless ``empty`` gives its meaning. A bad value is a usage error that names the
    option or variable.
    """

    def __init__(
        self,
        *declarations: str,
        metavar: str,
        parse: Parser = text,
        empty: str | None = None,
        unset: Any = None,
        **attributes: Any,
    ) -> None:
        # click lets the last of several values win; "multiple" makes it hand over all of them.
        super().__init__(*declarations, metavar=metavar, multiple=True, callback=self._settle, **attributes)
        self.parse = parse
        self.empty = empty
        self.unset = unset

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        del ctx
        return suggestions(self.metavar or "", incomplete, self.parse.words if isinstance(self.parse, Choice) else ())

    def _settle(self, _ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> Any:
        if len(given) > 1:
            raise UsageMistake(f"the argument '{self.spelling}' cannot be used multiple times")
        if given:
            return self.parse(given[0], self.long_name)
        if self.empty is not None and os.environ.get(self.variable) == "":
            return self.empty
        value = from_variable(self.variable, self.parse)
        return self.unset if value is None else value


def variable_of(declarations: Sequence[str]) -> str:
    """The variable of a setting, from its option: SNAPDIR_MAX_JOBS for ``--max-jobs``."""
    return "SNAPDIR_" + max(declarations, key=len).removeprefix("--").replace("-", "_").upper()


class Setting(Single):
    """A single value for ``settings_of`` instead of the verb's own parameters: part of its Config or Terminal."""

    def __init__(self, *declarations: str, **attributes: Any) -> None:
        attributes.setdefault("variable", variable_of(declarations))
        super().__init__(*declarations, expose_value=False, **attributes)

    def _settle(self, ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Any:
        value = super()._settle(ctx, parameter, given)
        if value is not None and self.name:
            settings_of(ctx)[self.name] = value
        return value


class BareSetting(Setting):
    """A setting whose value may be left out, which then is ``bare``. A value needs a ``=`` before it."""

    def __init__(self, *declarations: str, bare: str, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.bare = bare

    @property
    def spelling(self) -> str:
        return f"{self.long_name}[={self.metavar}]"

    def completed(self, args: list[str]) -> list[str]:
        """``args`` with the value that was left out."""
        end = args.index("--") if "--" in args else len(args)
        return [f"{arg}={self.bare}" if arg in self.opts else arg for arg in args[:end]] + args[end:]


class SettingSwitch(Flag):
    """A switch that sets a setting to ``value``, as its variable can too. Once given it stays."""

    def __init__(self, *declarations: str, value: bool = True, **attributes: Any) -> None:
        attributes.setdefault("variable", variable_of(declarations))
        super().__init__(*declarations, expose_value=False, callback=self._keep, **attributes)
        self.value = value

    def _keep(self, ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given or from_variable(self.variable, switch) is self.value:
            settings_of(ctx)[self.name or ""] = self.value


def settings_of(ctx: click.Context) -> dict[str, Any]:
    """The settings given so far, shared by the group and the verb."""
    settings: dict[str, Any] = ctx.meta.setdefault("snapdir.settings", {})
    return settings


def typed_of(ctx: click.Context) -> tuple[str, ...]:
    """The command line after the command, as it was typed."""
    typed: tuple[str, ...] = ctx.meta.get("snapdir.typed", ())
    return typed


def from_variable(name: str, parse: Parser, environment: Mapping[str, str] = os.environ) -> Any:
    """The parsed value of a variable; None if it is empty or not set.

    Raises:
        InvalidOption: the value is bad; the message names it and the variable.
    """
    value = environment.get(name)
    return parse(value, name) if value else None


def whole_number(value: str, source: str) -> int:
    if not _WHOLE_NUMBER(value):
        raise InvalidOption(f"invalid {source} '{value}': expected a whole number from 0 to 999999999")
    return int(value)


def seconds(value: str, source: str) -> float:
    """A time, such as 30 or 0.5; 0 for none."""
    if not _SECONDS(value):
        raise InvalidOption(f"invalid {source} '{value}': expected seconds, such as 30")
    return float(value)


def switch(value: str, source: str) -> bool:
    if value.lower() not in SWITCH_WORDS:
        raise InvalidOption(f"invalid {source} '{value}': expected 1, 0, true, false, yes or no")
    return SWITCH_WORDS[value.lower()]


class Choice:
    """A parser that takes one of ``words``."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, value: str, source: str) -> str:
        return require_word(value, self.words, source)


def kind_of(metavar: str) -> str:
    """The kind of value of a metavar: its first word, or STORE for every word that may name a store."""
    word = re.search("[A-Z]+", metavar)
    kind = word[0] if word else ""
    return "STORE" if kind in ("URI", "REF", "FROM") else kind


def suggestions(metavar: str, incomplete: str, words: Sequence[str] = ()) -> list[CompletionItem]:
    """Values that a shell may offer for a metavar."""
    from snapdir.cli.completion import suggest

    return suggest(kind_of(metavar), incomplete, words)
