"""Help of every verb: purpose, arguments, options in sections, and examples that parse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from snapdir.cli.commands import COMMANDS, HIDDEN
from snapdir.cli.main import root
from snapdir.cli.parameters import Flag, Positional
from snapdir.cli.verb import Verb

from .conftest import cli

REFERENCE = (
    "manifest", "id", "stage", "push", "fetch", "pull", "checkout", "verify", "verify-cache", "flush-cache",
    "locations", "ancestors", "revisions", "defaults", "sync", "diff", "version", "autocomplete", "help",
)  # fmt: skip
ALL = [*COMMANDS, *HIDDEN]


def verb(name: str) -> Verb:
    found = root.get_command(click.Context(root), name)
    assert isinstance(found, Verb)
    return found


def test_the_references_verbs_come_first_in_its_order() -> None:  # SURF-01
    known = [name for name in COMMANDS if name in REFERENCE]
    assert known == [name for name in REFERENCE if name in COMMANDS]
    assert list(COMMANDS)[: len(known)] == known


@pytest.mark.parametrize("name", ALL)
def test_the_first_line_says_what_it_does(name: str) -> None:
    purpose, blank, usage = cli(name, "--help").stdout.split("\n")[:3]
    assert purpose[0].isupper()
    assert purpose.endswith(".")
    assert len(purpose) <= 80
    assert (blank, usage.startswith("Usage: snapdir ")) == ("", True)


@pytest.mark.parametrize("name", ALL)
def test_every_argument_and_option_is_explained(name: str) -> None:
    text = cli(name, "--help").stdout
    for parameter in verb(name).params:
        if isinstance(parameter, Positional):
            assert parameter.use, parameter.name
            assert f"\n  {parameter.metavar} " in text.partition("\nArguments:")[2]
        else:
            assert isinstance(parameter, Flag), f"{parameter.name}: use Positional, which knows what it is for"
            assert parameter.hidden or (parameter.help or "").endswith((".", ")")), parameter.name
            assert parameter.hidden or f"\n{parameter.section}:\n" in text


@pytest.mark.parametrize("name", ALL)
def test_there_are_two_examples_and_they_parse(name: str) -> None:  # SURF-07
    calls = list(_calls("\n".join(verb(name).examples)))
    assert len(calls) >= 2
    for first, *rest in calls:
        if first.startswith("-"):
            continue
        command = verb(first)
        command.make_context(first, rest, parent=click.Context(root, info_name="snapdir"))
    assert any(name == first for first, *_ in calls) or name in ("version", "completions")


def _calls(text: str) -> Iterator[list[str]]:
    """The words behind each ``snapdir`` of some shell lines."""
    for found in re.finditer(r"\bsnapdir ((?:'[^']*'|\$\([^)]*\)|[^|&;<>#)\"\n])*)", text):
        yield shlex.split(re.sub(r"\$\([^)]*\)", "SUBSTITUTED", found[1]))


@pytest.mark.parametrize("args", [[], ["push"], ["verify-cache"], ["help"]])
def test_help_shows_what_the_flag_shows(args: list[str]) -> None:
    run = cli("help", *args)
    assert (run.code, run.stderr) == (0, "")
    assert run.stdout == cli(*args, "--help").stdout


def test_help_of_an_unknown_verb_is_a_usage_error() -> None:
    run = cli("help", "pus")
    assert (run.code, run.stdout) == (2, "")
    assert "unrecognized subcommand 'pus'" in run.stderr
    assert "a similar subcommand exists: 'push'" in run.stderr


def test_the_manual_page_is_roff_with_every_verb() -> None:  # SURF-18
    run = cli("man")
    assert (run.code, run.stderr) == (0, "")
    assert run.stdout.startswith('.TH SNAPDIR 1 "" "snapdir ')
    assert [name for name in COMMANDS if f"\n.SS snapdir {name.replace('-', chr(92) + '-')}" not in run.stdout] == []
    requests = {line.split()[0] for line in run.stdout.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".B", ".TP", ".SS", ".PP", ".nf", ".fi"}
    assert "-" not in re.sub(r"\\-", "", run.stdout.partition("\n")[2])
