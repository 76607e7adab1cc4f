from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.cli.commands.manifest import write_text
from snapdir.cli.tables import (
    GAP,
    Cell,
    Moment,
    Prose,
    ShortId,
    Size,
    _fitted,
    _shown,
    json_line,
    write_json,
    write_json_lines,
    write_rows,
)
from snapdir.cli.terminal import Terminal
from snapdir.model.manifest import Manifest

PLAIN = Terminal()
ID = "0123456789abcdef" * 4
ROWS: Sequence[Sequence[Cell]] = [
    ("./a\tb\n\\c\x1b[31m", ShortId(ID), Size(1536), 12345),
    ("./é", None, Size(0), 7),
]
COLUMNS = ("path", "id", "size", "files")


def on_a_terminal(write: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal that is stdout is sent by ``write``."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        write()
    shown = b""
    with suppress(OSError):  # EIO: the other end is closed and everything has been read
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_a_pipe_gets_tsv_with_a_header_and_escaped_fields(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_rows(COLUMNS, ROWS, terminal=PLAIN)
    assert capfdbinary.readouterr().out.decode() == (
        f"path\tid\tsize\tfiles\n./a\\tb\\n\\\\c\\x1b[31m\t{ID}\t1536\t12345\n./é\t\t0\t7\n"
    )


def test_a_manifest_cannot_steer_a_terminal_and_is_itself_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    line = f"F 644 {ID} 1 ./\x1b]0;owned\x07\u202e"
    found = Manifest.parse(line + "\n")
    write_text(found)
    assert capfdbinary.readouterr().out == f"{line}\n".encode()
    assert on_a_terminal(lambda: write_text(found), monkeypatch) == f"F 644 {ID} 1 ./\\x1b]0;owned\\x07\\u202e\n"


def test_a_terminal_gets_an_aligned_table_that_cannot_steer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_a_terminal(lambda: write_rows(COLUMNS, ROWS, terminal=PLAIN), monkeypatch)
    lines = shown.splitlines()
    assert lines[0].split() == ["path", "id", "size", "files"]
    assert lines[1].split() == ["./a\\tb\\n\\c\\x1b[31m", ID[:12], "1.50", "KiB", "12,345"]
    assert [len(line) for line in lines] == [len(lines[0])] * 3  # figures end where their column does
    assert "\x1b" not in shown


def test_a_table_keeps_long_cells_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "./" + "long/" * 60
    shown = on_a_terminal(lambda: write_rows(["path", "id"], [(path, ID)], terminal=PLAIN), monkeypatch)
    assert shown.splitlines()[1].split() == [path, ID]


def test_colour_only_where_the_flags_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = on_a_terminal(lambda: write_rows(["a"], [("b",)], terminal=Terminal(color=True)), monkeypatch)
    assert shown == "\x1b[1ma\x1b[0m\nb\n"


def test_json_is_compact_and_keeps_the_order_of_keys(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_json({"status": "M", "path": "./é\t\udcff"})
    assert capfdbinary.readouterr().out == '{"status":"M","path":"./é\\t\\udcff"}\n'.encode()


def test_json_lines_leave_while_they_come(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def values() -> Iterator[dict[str, int]]:
        for number in range(2500):
            yield {"n": number}
        assert capfdbinary.readouterr().out.count(b"\n") == 2000

    write_json_lines(values())
    assert capfdbinary.readouterr().out.startswith(b'{"n":2000}\n')


def test_no_rows_print_the_header_and_no_json_prints_nothing(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_rows(["a", "b"], [], terminal=PLAIN)
    write_json_lines([])
    assert capfdbinary.readouterr().out == b"a\tb\n"


@given(st.text(st.characters(codec=None)))
def test_any_text_survives_json(text: str) -> None:
    line = json_line([text])
    line.encode()
    # A pair of surrogates in a row is one character to JSON.
    assert json.loads(line) == [text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")]


@given(
    width=st.integers(80, 200),
    rows=st.lists(st.tuples(st.text(max_size=300), st.text(max_size=40), st.integers(0, 10**12)), max_size=5),
)
def test_prose_is_cut_so_that_a_line_fits_and_ids_are_whole(width: int, rows: list[tuple[str, str, int]]) -> None:
    cells = [
        [Moment("2026-11-30 12:00:00"), ShortId(ID), Prose(note), Size(size), Prose(name)] for note, name, size in rows
    ]
    fitted = _fitted(["set (UTC)", "id", "note", "size", "name"], cells, width)
    assert [row[:2] for row in fitted] == [row[:2] for row in cells]
    for row in fitted:
        assert sum(len(_shown(cell)) for cell in row) + 4 * len(GAP) <= width
    short = [[Prose(note[:3]), Prose(name)] for note, name, _ in rows]
    assert _fitted(["note", "name"], short, width) == short


def test_a_narrow_terminal_shows_some_prose_too() -> None:
    (row,) = _fitted(["path", "note"], [["./long/" * 20, Prose("x" * 100)]], 80)
    assert row == ["./long/" * 20, "x" * 11 + "…"]


def test_a_table_has_its_own_titles_and_a_pipe_has_all_columns(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def write() -> None:
        write_rows(
            ("at", "id"),
            [(Moment("2026-11-30 12:00:00.123"), ShortId(ID))],
            terminal=PLAIN,
            shown=lambda row: {"at (UTC)": row["at"]},
        )

    write()
    assert capfdbinary.readouterr().out.decode() == f"at\tid\n2026-11-30 12:00:00.123\t{ID}\n"
    assert on_a_terminal(write, monkeypatch) == "at (UTC)\n2026-11-30 12:00\n"
