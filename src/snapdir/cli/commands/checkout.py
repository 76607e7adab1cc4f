"""snapdir checkout: a snapshot of the local cache into a directory."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import WRITING
from snapdir.cli.invocation import Invocation
from snapdir.cli.reports import report_checked_out, report_selection
from snapdir.cli.targets import destination, pool_of, protections
from snapdir.cli.verb import Verb
from snapdir.errors import ManifestNotFound, SnapdirError


@click.command(
    "checkout",
    cls=Verb,
    params=[
        options.path("DIR", "Where to write; default: the current directory, if that is empty."),
        *options.snapshot("Snapshot to check out"),
        *options.selection(),
        *options.mirror(),
        *options.writing(),
        *options.cache(),
        *options.engine(),
        *options.dry_run(),
        *options.hidden(options.store(), options.pool(), options.rates(), options.retries(), options.bucket()),
        *options.accepted("--catalog"),
    ],
    variables=WRITING,
    examples=["snapdir checkout --id $ID ./data", "snapdir checkout --id $ID --include '*.json' ./data"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    path: str | None,
    store: str | None,
    objects_store: str | None,
    snapshot_id: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    shard: str | None,
    delete: bool,
    linked: bool,
    force: bool,
    keep: bool,
    no_overwrite: bool,
    strict: bool,
    preserve_special_modes: bool,
    dryrun: bool,
) -> None:
    """Write a snapshot of the local cache into a directory.

    Files that differ are replaced; what is not in the snapshot stays, and is named in a warning. No store is needed.
    With --include, --exclude or --shard the cache needs no other files.
    """
    left_out, protected = protections(exclude, delete=delete)
    wanted = invocation.full_id(snapshot_id, path=path)
    target = destination(path, force=force)
    try:
        invocation.transfer(
            partial(
                snapdir.checkout,
                wanted,
                target,
                include=include,
                exclude=left_out,
                shard=shard,
                delete=delete,
                protect=protected,
                linked=linked,
                store=pool_of(store, "--store") if delete or linked else store,
                objects_store=pool_of(objects_store) if delete or linked else objects_store,
                overwrite=not no_overwrite,
                strict=strict,
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
    report_checked_out(invocation, wanted, target, delete=delete, dry_run=dryrun)
