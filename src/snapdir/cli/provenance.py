"""--derived-from, --note and --label as the API takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from snapdir.cli.parameters import Flag, Single, text
from snapdir.errors import InvalidOption, LocalError, local_errors

__all__ = ["Said", "provenance", "provenance_options"]

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says of a snapshot."""

    derived_from: list[str]
    note: str | None
    labels: dict[str, str]


def provenance_options() -> list[Flag]:
    """What is written down of a snapshot, and never part of its id."""
    section = "History"
    return [
        Flag(
            "--derived-from",
            metavar="<ID>",
            multiple=True,
            section=section,
            help="A snapshot this one was made from; repeat it, or @FILE with one id a line.",
        ),
        Single("--note", metavar="<TEXT>", parse=text, section=section, help="Free text about this snapshot."),
        Flag(
            "--label",
            "labels",
            metavar="<KEY=VALUE>",
            multiple=True,
            callback=_labels,
            section=section,
            help="A label of this snapshot; repeat it for more.",
        ),
    ]


def provenance(derived_from: Sequence[str], note: str | None, labels: dict[str, str]) -> Said:
    """The options' values; files of ids are read.

    Raises:
        LocalError: such a file cannot be read, or is longer than 1 MiB.
    """
    return Said([source for given in derived_from for source in _sources(given)], note, labels)


def _sources(given: str) -> Iterator[str]:
    if not given.startswith("@"):
        yield given
        return
    file = Path(given[1:]).expanduser()
    with local_errors(file), file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise LocalError(file, "it is too long for a file of ids")
    lines = (line.strip() for line in content.decode(errors="replace").splitlines())
    yield from (line for line in lines if line and not line.startswith("#"))


def _labels(_ctx: click.Context, _: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in given:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InvalidOption(f"invalid --label '{pair}': expected KEY=VALUE")
        if key in labels:
            raise InvalidOption(f"invalid --label '{pair}': {key} has a value already, '{labels[key]}'")
        labels[key] = value
    return labels
