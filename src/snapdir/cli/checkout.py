"""snapdir checkout: a snapshot of the local cache into a directory."""

from __future__ import annotations

from functools import partial

import click

from snapdir.cli import options, render
from snapdir.cli.configuration import WRITING
from snapdir.cli.fetch import report_selection
from snapdir.cli.invocation import Invocation
from snapdir.cli.targets import destination
from snapdir.cli.verb import Verb
from snapdir.errors import ManifestNotFound, SnapdirError


@click.command(
    "checkout",
    cls=Verb,
    params=[
        options.path("DIR"),
        *options.snapshot("Snapshot to check out"),
        *options.selection(),
        *options.writing(),
        *options.cache(),
        *options.engine(),
        *options.dry_run(),
        *options.hidden(options.rates(), options.retries()),
        *options.accepted("--store", "--objects-store", "--catalog"),
    ],
    variables=WRITING,
    examples=["snapdir checkout --id $ID ./data", "snapdir checkout --id $ID --include '*.json' ./data"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    path: str | None,
    snapshot_id: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    shard: str | None,
    force: bool,
    keep: bool,
    no_overwrite: bool,
    preserve_special_modes: bool,
    dryrun: bool,
) -> None:
    """Write a snapshot of the local cache into a directory.

    DIR defaults to the current directory, if that is empty. Files that differ are replaced, files that the snapshot
    does not know stay. No store is needed. With --include, --exclude or --shard the cache needs no other files.
    """
    from snapdir import api

    wanted = invocation.full_id(snapshot_id)
    target = destination(path, force=force)
    try:
        invocation.transfer(
            partial(
                api.checkout,
                wanted,
                target,
                include=include,
                exclude=exclude,
                shard=shard,
                overwrite=not no_overwrite,
                keep=keep,
                preserve_special_modes=preserve_special_modes,
                dry_run=dryrun,
                config=invocation.config,
                counters=invocation.counters,
            )
        )
    except ManifestNotFound as error:
        raise SnapdirError(f"manifest {wanted} not found locally; did you forget to fetch it?") from error
    report_selection(invocation, wanted)
    report_checked_out(invocation, wanted, target, dry_run=dryrun)


def report_checked_out(invocation: Invocation, snapshot_id: str, target: str, *, dry_run: bool) -> None:
    """What was replaced, which nobody asked before; or what a dry run would have done."""
    replaced = invocation.counters.files_replaced
    if dry_run:
        invocation.terminal.note(render.dry_run(f"check out {snapshot_id} to {target}"))
    elif replaced:
        invocation.terminal.note(f"replaced {replaced:,} file(s) that differed in {target}")
