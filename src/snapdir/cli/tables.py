"""How reading commands print: tables for people, TSV for pipes, JSON for programs.

The convention: without ``--json`` a command calls ``write_rows``; with it, ``write_json_lines`` for a list and
``write_json`` for a single document. Fields keep their order and their meaning; new fields come after them
(``docs/json.md`` lists them).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from snapdir.cli.terminal import Terminal, printable, visible_json, write_output
from snapdir.model.digest import SHORT_ID_DIGITS
from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from snapdir.model.entry import Entry

LINES_AT_ONCE = 1000
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Size(int):
    """Bytes: ``1.50 MiB`` in a table, digits in TSV."""


class ShortId(str):
    """An id: its first 12 digits in a table (a prefix that every ``--id`` takes), all 64 in TSV."""

    __slots__ = ()


Cell = str | int | float | None
"""None is an empty field. Numbers are aligned to the right in a table."""


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, terminal: Terminal) -> None:
    """Print rows on stdout: a table on a terminal; else TSV, the names of the columns first.

    In TSV a backslash, a tab and every control character of a field are escaped (``\\\\``, ``\\t``, ``\\x1b``), so that
    a line is a row and a tab separates fields, for any file name. TSV is written as rows come.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        _write_table(columns, rows, terminal)
    else:
        _write_lines(_tsv(columns, rows))


def write_json(value: object) -> None:
    """Print one JSON document in one line; the keys keep their order."""
    write_output(json_line(value) + "\n")


def write_json_lines(values: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object per line, as they come; an empty list prints nothing."""
    _write_lines(map(json_line, values))


def entry_fields(entry: Entry) -> dict[str, object]:
    """An entry as JSON writes it."""
    return {
        "path": entry.path,
        "type": str(entry.path_type).lower(),
        "mode": entry.mode,
        "size": entry.size,
        "checksum": entry.checksum,
    }


def json_line(value: object) -> str:
    """``value`` as JSON without blanks, in UTF-8; surrogates of names that are not UTF-8 are escaped."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return visible_json(_LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _write_lines(lines: Iterator[str]) -> None:
    while batch := list(islice(lines, LINES_AT_ONCE)):
        write_output("\n".join(batch) + "\n")


def _tsv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    yield "\t".join(columns)
    for row in rows:
        yield "\t".join(map(_field, row))


def _field(cell: Cell) -> str:
    if cell is None:
        return ""
    return printable(cell.replace("\\", "\\\\")) if isinstance(cell, str) else str(cell)


def _write_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], terminal: Terminal) -> None:
    console = _console(terminal)
    with console.capture() as captured:
        console.print(_table(columns, list(rows)), crop=False)
    write_output("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _console(terminal: Terminal) -> Console:
    from rich.console import Console

    # Wider than any terminal: a folded path or id cannot be copied.
    return Console(
        file=sys.stdout,
        width=100_000,
        force_terminal=True,
        color_system="auto" if terminal.color else None,
        legacy_windows=False,
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(columns):
        figures = bool(rows) and all(not isinstance(row[number], str) for row in rows)
        table.add_column(Text(name), justify="right" if figures else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    return table


def _shown(cell: Cell) -> str:
    """A cell for people."""
    if cell is None:
        return ""
    if isinstance(cell, ShortId):
        return cell[:SHORT_ID_DIGITS]
    if isinstance(cell, Size):
        return format_size(cell)
    return printable(cell) if isinstance(cell, str) else f"{cell:,}"
