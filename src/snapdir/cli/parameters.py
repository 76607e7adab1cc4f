"""Options that may be given once, that may come from the environment, and that know their section of the help."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from snapdir.cli.usage import UsageMistake
from snapdir.errors import InvalidOption

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "BareSetting",
    "Choice",
    "Flag",
    "Off",
    "Positional",
    "Setting",
    "Single",
    "UniversalFlag",
    "choice",
    "from_variable",
    "settings_of",
    "switch",
    "text",
    "whole_number",
]

Parser = Callable[[str, str], Any]
"""Turns the text of the option or variable named second into a value, or raises InvalidOption."""

SWITCH_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_WHOLE_NUMBER = re.compile(r"\+?[0-9]{1,9}", re.ASCII).fullmatch


class Flag(click.Option):
    """An option of a section of the help. Hidden ones are accepted but not shown."""

    def __init__(self, *declarations: str, section: str = "Options", variable: str = "", **attributes: Any) -> None:
        super().__init__(list(declarations), **attributes)
        self.section = section
        self.variable = variable

    @property
    def spelling(self) -> str:
        """The long form, as in ``--store <URI>``."""
        longest = max(self.opts, key=len)
        return f"{longest} {self.metavar}" if self.metavar else longest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        del ctx
        return suggestions(self.metavar or "", incomplete)


class Positional(click.Argument):
    """An argument. Its metavar says what a shell may offer for it.

    Args:
        use: What it is for, for the help.
        words: All that fit, where they can be counted.
        is_path: Not a store, not a snapshot: those stand in options of the verb.
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


class Single(Flag):
    """An option with one value, which may not be given twice; else its variable's; else None.

    An empty variable is unset, unless ``empty`` says what it stands for; ``unset`` is the value where nothing is given.
    A bad value is a usage error that names where it came from.
    """

    def __init__(
        self,
        *declarations: str,
        parse: Parser,
        metavar: str,
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
            return self.parse(given[0], max(self.opts, key=len))
        if self.empty is not None and os.environ.get(self.variable) == "":
            return self.empty
        value = from_variable(self.variable, self.parse)
        return self.unset if value is None else value


class Setting(Single):
    """A single value for ``settings_of`` instead of the verb's own parameters: part of its Config or Terminal."""

    def __init__(self, *declarations: str, **attributes: Any) -> None:
        super().__init__(*declarations, expose_value=False, **attributes)

    def _settle(self, ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Any:
        value = super()._settle(ctx, parameter, given)
        if value is not None and self.name:
            settings_of(ctx)[self.name] = value
        return value


class BareSetting(Setting):
    """A setting that may be given without its value, which then is ``bare``; one that is given needs a ``=``."""

    def __init__(self, *declarations: str, bare: str, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.bare = bare

    @property
    def spelling(self) -> str:
        return f"{max(self.opts, key=len)}[={self.metavar}]"

    def completed(self, args: list[str]) -> list[str]:
        """``args`` with the value in the place of none."""
        end = args.index("--") if "--" in args else len(args)
        return [f"{arg}={self.bare}" if arg in self.opts else arg for arg in args[:end]] + args[end:]


class UniversalFlag(Flag):
    """A switch before or after the verb, kept with the settings; it stays on once it was given."""

    def __init__(self, *declarations: str, **attributes: Any) -> None:
        super().__init__(*declarations, is_flag=True, expose_value=False, callback=self._keep, **attributes)

    def _keep(self, ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given or from_variable(self.variable, switch):
            settings_of(ctx)[self.name or ""] = True


class Off(Flag):
    """A switch of one verb that turns a setting off; 0 in its variable does so too."""

    def __init__(self, *declarations: str, **attributes: Any) -> None:
        super().__init__(*declarations, is_flag=True, expose_value=False, callback=self._keep, **attributes)

    def _keep(self, ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given or from_variable(self.variable, switch) is False:
            settings_of(ctx)[self.name or ""] = False


def settings_of(ctx: click.Context) -> dict[str, Any]:
    """The settings given so far, shared by the group and the verb."""
    settings: dict[str, Any] = ctx.meta.setdefault("snapdir.settings", {})
    return settings


def from_variable(name: str, parse: Parser, environment: Mapping[str, str] = os.environ) -> Any:
    """The parsed value of a variable; None where it is empty or not there.

    Raises:
        InvalidOption: the value is bad; the message names it and the variable.
    """
    value = environment.get(name)
    return parse(value, name) if value else None


def whole_number(value: str, source: str) -> int:
    if not _WHOLE_NUMBER(value):
        raise InvalidOption(f"invalid {source} '{value}': expected a whole number from 0 to 999999999")
    return int(value)


def switch(value: str, source: str) -> bool:
    if value.lower() not in SWITCH_WORDS:
        raise InvalidOption(f"invalid {source} '{value}': expected 1, 0, true, false, yes or no")
    return SWITCH_WORDS[value.lower()]


def text(value: str, source: str) -> str:
    """Any text. (A flag may hold an empty one: whoever uses it says what is wrong with that.)"""
    del source
    return value


class Choice:
    """A parser that takes one of ``words``."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, value: str, source: str) -> str:
        if value not in self.words:
            known = " or ".join(filter(None, (", ".join(self.words[:-1]), self.words[-1])))
            raise InvalidOption(f"invalid {source} '{value}': expected {known}")
        return value


def choice(*words: str) -> Choice:
    """One of ``words``."""
    return Choice(*words)


def suggestions(metavar: str, incomplete: str, words: Sequence[str] = ()) -> list[CompletionItem]:
    """What a shell may offer for a value, by what its metavar says it is."""
    from snapdir.cli.completion import suggest

    kind = re.search("[A-Z]+", metavar)
    return suggest(kind[0] if kind else "", incomplete, words)
