"""snapdir size: how much a store, a snapshot or a directory holds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Positional
from snapdir.cli.tables import Cell, Size, write_json_lines, write_rows
from snapdir.cli.targets import required_store
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb

COLUMNS = ("ref", "files", "logical_bytes", "objects", "physical_bytes")


@click.command(
    "size",
    cls=Verb,
    params=[
        Positional(
            "refs",
            nargs=-1,
            metavar="[REF]...",
            use="A store (all its snapshots together), STORE@ID, a directory or an id; default: --store.",
        ),
        *options.store(),
        *options.snapshot("Snapshot of --store to measure"),
        *options.output(),
        *options.cache(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
    ],
    examples=["snapdir size s3://bucket/sets", "snapdir size --json s3://bucket/sets@$ID ./data"],
)
@click.pass_obj
def command(
    invocation: Invocation, *, refs: tuple[str, ...], store: str | None, snapshot_id: str | None, as_json: bool
) -> None:
    """Count files, distinct contents and their bytes.

    Logical bytes are those of every file of every snapshot, physical bytes those of every distinct content. Only
    manifests are read, and directories.
    """
    if refs and snapshot_id is not None:
        raise UsageMistake("the argument '--id <ID>' goes with --store; write STORE@ID", click.get_current_context())
    wanted = refs or (required_store(store),)
    rows = list(_measured(invocation, wanted, store, snapshot_id))
    if as_json:
        write_json_lines(dict(zip(COLUMNS, row, strict=True)) for row in rows)
    else:
        write_rows(COLUMNS, rows, terminal=invocation.terminal)


def _measured(
    invocation: Invocation, refs: tuple[str, ...], store: str | None, snapshot_id: str | None
) -> Iterator[tuple[Cell, ...]]:
    for ref in refs:
        found = invocation.run(
            partial(
                snapdir.size,
                ref,
                snapshot_id,
                id_store=store,
                config=invocation.config,
                counters=invocation.counters,
            ),
            store=ref if "://" in ref else None,
        )
        yield ref, found.files, Size(found.logical_bytes), found.objects, Size(found.physical_bytes)
