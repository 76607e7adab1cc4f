"""snapdir size: the files and bytes of a store, a snapshot or a directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Positional
from snapdir.cli.tables import Cell, Size, write_json_lines, write_rows
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command

COLUMNS = ("ref", "files", "logical_bytes", "objects", "physical_bytes")


@command(
    Positional(
        "refs",
        nargs=-1,
        metavar="[REF]...",
        use="A store (all its snapshots together), STORE@ID, a directory or an id; default: --store.",
    ),
    *options.store(),
    *options.snapshot("Measure this snapshot of --store"),
    *options.output(),
    *settings.cache(),
    *settings.reading(),
    examples=["snapdir size s3://bucket/sets", "snapdir size --json s3://bucket/sets@$ID ./data"],
)
def size(
    invocation: Invocation, /, *, refs: tuple[str, ...], store: str | None, snapshot_id: str | None, as_json: bool
) -> None:
    """Count files, distinct contents and their bytes.

    Logical bytes count every file of every snapshot; physical bytes count each distinct content once. Of a store, only
    manifests are read; a directory is hashed.
    """
    if refs and snapshot_id is not None:
        raise UsageMistake("the argument '--id <ID>' goes with --store; write STORE@ID")
    rows = list(_measured(invocation, refs or (options.required_store_ref(store),), store, snapshot_id))
    if as_json:
        write_json_lines(dict(zip(COLUMNS, row, strict=True)) for row in rows)
    else:
        write_rows(COLUMNS, rows, terminal=invocation.terminal)


def _measured(
    invocation: Invocation, refs: tuple[str, ...], store: str | None, snapshot_id: str | None
) -> Iterator[tuple[Cell, ...]]:
    async def measure(**how: Any) -> list[snapdir.SizeStats]:
        return [await snapdir.size(ref, snapshot_id, id_store=store, **how) for ref in refs]

    for ref, found in zip(refs, invocation.run(measure), strict=True):
        yield ref, found.files, Size(found.logical_bytes), found.objects, Size(found.physical_bytes)
