"""How reading commands print: tables for people, TSV for pipes, JSON for programs.

The convention: without ``--json`` a command calls ``write_rows``; with it, ``write_json_lines`` for a list and
``write_json`` for a single document. Fields keep their order and their meaning; new fields come after them
(``docs/json.md`` lists them).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from snapdir.cli.terminal import Terminal, printable, visible_json, write_output
from snapdir.model.digest import SHORT_ID_DIGITS
from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from snapdir.model.entry import Entry

LINES_AT_ONCE = 1000
GAP = "  "
LEAST_PROSE = 12
"""Characters of prose that a narrow terminal shows, too."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Size(int):
    """Bytes: ``1.50 MiB`` in a table, digits in TSV."""


class ShortId(str):
    """An id: its first 12 digits in a table (a prefix that every ``--id`` takes), all 64 in TSV."""

    __slots__ = ()


class Moment(str):
    """A time in UTC: to the minute in a table, as it is in TSV."""

    __slots__ = ()


class Prose(str):
    """Free text: cut in a table to what the terminal has room for, whole in TSV."""

    __slots__ = ()


Cell = str | int | float | None
"""None is an empty field. Numbers are aligned to the right in a table."""


def write_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    terminal: Terminal,
    shown: Callable[[Mapping[str, Any]], Mapping[str, Cell]] = dict,
) -> None:
    """Print rows on stdout: a table on a terminal; else TSV, the names of the columns first.

    Args:
        shown: Makes a row of the table, by its titles, from a row by its columns. Titles depend on no value.

    In TSV a backslash, a tab and every control character of a field are escaped (``\\\\``, ``\\t``, ``\\x1b``), so that
    a line is a row and a tab separates fields, for any file name. TSV is written as rows come.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        table = [shown(dict(zip(columns, row, strict=True))) for row in rows]
        _write_table(list(shown(dict.fromkeys(columns))), [list(row.values()) for row in table], terminal)
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


def _write_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], terminal: Terminal) -> None:
    console = _console(terminal)
    with console.capture() as captured:
        console.print(_table(columns, _fitted(columns, rows, get_terminal_size().columns)), crop=False)
    write_output("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[Cell]], width: int) -> list[list[Cell]]:
    """``rows`` with prose cut, so that a line has ``width`` columns, if all the other cells leave room for some."""
    prose = [number for number in range(len(columns)) if any(isinstance(row[number], Prose) for row in rows)]
    longest = [max(len(name), *(len(_shown(row[number])) for row in rows), 0) for number, name in enumerate(columns)]
    room = width - sum(longest[number] for number in range(len(columns)) if number not in prose)
    room -= len(GAP) * (len(columns) - 1)
    allowed: dict[int, int] = {}
    for left, number in enumerate(sorted(prose, key=lambda number: longest[number])):  # what one leaves, others get
        allowed[number] = max(LEAST_PROSE, min(longest[number], room // (len(prose) - left)))
        room -= allowed[number]
    return [
        [_cut(cell, allowed[number]) if isinstance(cell, Prose) else cell for number, cell in enumerate(row)]
        for row in rows
    ]


def _cut(text: str, width: int) -> str:
    return text if len(printable(text)) <= width else f"{printable(text)[: width - 1]}…"


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

    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
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
    if isinstance(cell, Moment):
        return cell[:16]
    if isinstance(cell, Size):
        return format_size(cell)
    return printable(cell) if isinstance(cell, str) else f"{cell:,}"
