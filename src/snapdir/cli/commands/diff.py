"""snapdir diff: the differences between two snapshots, or between two sets of snapshots."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Choice, Flag, Positional, Single, section
from snapdir.cli.tables import Cell, Size, write_json, write_rows
from snapdir.cli.terminal import printable, visible_json, write_output
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.errors import SideConflict, SnapdirError

if TYPE_CHECKING:
    from snapdir.transfer.comparing.diff import DiffTotals

LINES_AT_ONCE = 10_000
ONE_REF = "`snapdir status DIR` compares a directory with its last known snapshot; `snapdir diff STORE@ID DIR` with any"
REFERENCE = "A store, STORE@ID, a directory or an id; repeatable."


@command(
    Positional(
        "refs",
        nargs=-1,
        metavar="[FROM TO]",
        use="The two sides, each a store, STORE@ID, a directory or an id; default: --from and --to.",
    ),
    *section(
        "Sides",
        Flag("--from", "before", metavar="<REF>", multiple=True, help=f"Before. {REFERENCE}"),
        Flag("--to", "after", metavar="<REF>", multiple=True, help=f"After. {REFERENCE}"),
        Single(
            "--on-conflict",
            metavar="<WHAT>",
            parse=Choice("error", "last-wins"),
            unset="error",
            help="If two snapshots of one side have different content for a path: error (default) or last-wins.",
        ),
    ),
    *options.snapshot("Use only this snapshot of each store that has it"),
    *options.store(),
    *options.ignoring(),
    *options.dereferencing(),
    *options.remembering(),
    *settings.index(),
    *section(
        "Output",
        Flag("--all", "unchanged", help="Also list unchanged files (=)."),
        Flag("--renames", help="List a file that moved with the same content as one rename (R)."),
        Flag("--stat", help="Print the number of files and bytes of each kind of difference."),
        Flag("--name-only", help="Print paths only."),
        *options.output(),
        Flag("--exit-code", help="Exit with 1 if anything differs, 2 on errors."),
    ),
    *settings.cache(),
    *settings.reading(),
    examples=[
        "snapdir diff s3://bucket/sets@$OLD s3://bucket/sets@$NEW",
        "snapdir diff --stat --renames s3://bucket/sets@$ID ./data",
        "snapdir diff --exit-code --from ./store-a --to s3://bucket/store-b",
    ],
)
def diff(invocation: Invocation, /, *, exit_code: bool, **given: Any) -> None:
    """List files that were added (A), deleted (D) or modified (M).

    Compares FROM with TO, or the refs of --from and --to. STORE@ID is one snapshot of a store; STORE alone is all its
    snapshots together. An id is looked up in the cache, then in --store. Of a store, only manifests are read; a
    directory is hashed.
    """
    if exit_code and not (given["refs"] or given["before"] or given["after"]):
        raise UsageMistake("nothing to compare: --exit-code needs FROM and TO")
    try:
        differs = _diff(invocation, **given)
    except SnapdirError as error:
        if exit_code:
            error.exit_code = 2
        raise
    if exit_code and differs:
        raise click.exceptions.Exit(1)


def _diff(
    invocation: Invocation,
    *,
    refs: tuple[str, ...],
    before: tuple[str, ...],
    after: tuple[str, ...],
    snapshot_id: str | None,
    unchanged: bool,
    renames: bool,
    stat: bool,
    name_only: bool,
    as_json: bool,
    **given: Any,
) -> bool:
    """Print the differences and say whether there are any."""
    sides = snapdir.DiffOptions(*_sides(refs, before, after))
    if not (sides.before or sides.after):
        invocation.terminal.warn("nothing was compared: give FROM and TO, such as `snapdir diff STORE@ID DIRECTORY`")
    if name_only and (stat or as_json):
        raise UsageMistake(f"the argument '--name-only' cannot be used with '{'--stat' if stat else '--json'}'")
    given |= {"id": snapshot_id, "unchanged": unchanged or stat, "renames": renames}
    try:
        found = invocation.run(snapdir.diff, sides, **given)
    except SideConflict as conflict:
        raise SnapdirError(
            f'intra-side conflict on --{conflict.side}: the path "{conflict.path}" has differing content across two '
            "refs (collision); pass --on-conflict last-wins to let the last ref win, or name one snapshot: STORE@ID"
        ) from conflict
    if stat:
        _write_totals(found, invocation, unchanged=unchanged, renames=renames, as_json=as_json)
    elif as_json:
        write_output(visible_json(_json_text(found)))
    else:
        _write_lines(entry.path if name_only else _row(entry) for entry in found)
    return any(entry.status != "=" for entry in found)


def _sides(
    refs: tuple[str, ...], before: tuple[str, ...], after: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not refs:
        return before, after
    if before or after:
        raise UsageMistake("the arguments FROM TO cannot be used with '--from <REF>' or '--to <REF>'")
    if len(refs) != 2:
        raise UsageMistake(f"expected two refs, FROM and TO, found {len(refs)}", tip=ONE_REF if len(refs) == 1 else "")
    return refs[:1], refs[1:]


def _row(entry: snapdir.DiffEntry) -> str:
    """Status and path, unescaped. A rename has both paths, the old path first."""
    moved = f"{entry.renamed_from}\t" if entry.renamed_from is not None else ""
    return f"{entry.status}\t{moved}{entry.path}"


def _write_lines(lines: Iterable[str]) -> None:
    if sys.stdout is not None and sys.stdout.isatty():
        lines = (printable(line.replace("\t", "  ")) for line in lines)  # a name must not steer the terminal
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == LINES_AT_ONCE:
            write_output("\n".join([*batch, ""]))
            batch = []
    if batch:
        write_output("\n".join([*batch, ""]))


_ESCAPES = {code: f"\\u{code:04x}" for code in range(32)} | {
    ord(character): f"\\{letter}" for character, letter in zip('"\\\n\r\t', '"\\nrt', strict=True)
}
"""As the reference writes JSON text: short escapes for five characters only."""


def _json_text(found: Iterable[snapdir.DiffEntry]) -> str:
    return "[" + ",".join(map(_json_object, found)) + "]\n"


def _json_object(entry: snapdir.DiffEntry) -> str:
    fields = [("status", entry.status), ("path", entry.path)]
    if entry.renamed_from is not None:
        fields.append(("from", entry.renamed_from))
    return "{" + ",".join(f'"{name}":"{text.translate(_ESCAPES)}"' for name, text in fields) + "}"


def _write_totals(
    found: list[snapdir.DiffEntry], invocation: Invocation, *, unchanged: bool, renames: bool, as_json: bool
) -> None:
    from snapdir.transfer.comparing.diff import DiffTotals

    totals = DiffTotals.of(found)
    shown = ["added", "deleted", "modified", *(["renamed"] if renames else []), *(["unchanged"] if unchanged else [])]
    if as_json:
        write_json({word: totals.kinds[word].fields for word in shown} | {"new_content": totals.new_content})
        return
    columns = ["change", "files", "bytes_before", "bytes_after"]
    write_rows(columns, _total_rows(totals, shown), terminal=invocation.terminal)


def _total_rows(totals: DiffTotals, shown: Iterable[str]) -> Iterator[tuple[Cell, ...]]:
    for word in shown:
        total = totals.kinds[word]
        yield word, total.files, Size(total.bytes_before), Size(total.bytes_after)
    yield "new content", totals.new_objects, Size(0), Size(totals.new_bytes)
