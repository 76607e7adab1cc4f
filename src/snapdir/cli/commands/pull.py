"""snapdir pull: a snapshot of a store into a directory."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import WRITING
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag
from snapdir.cli.reports import report_checked_out, report_fetched, report_selection
from snapdir.cli.targets import destination, pool_of, protections, required_store, source_of
from snapdir.cli.verb import Verb


@click.command(
    "pull",
    cls=Verb,
    params=[
        options.path(use="Where to write; default: the current directory, if that is empty."),
        *options.store(),
        *options.pool(),
        *options.snapshot("Snapshot to pull"),
        *options.selection(),
        *options.mirror(),
        *options.writing(),
        *options.cache(),
        Flag("--no-cache", is_flag=True, section="Cache", help="Write straight to PATH; keep no copy in the cache."),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
        *options.dry_run(),
        *options.accepted("--catalog"),
    ],
    variables=WRITING,
    examples=[
        "snapdir pull --store s3://bucket/sets --id $ID ./data",
        "snapdir pull --store ./store --id $ID --no-cache ./data",
        "snapdir pull --store s3://bucket/sets --id $ID --include 'train/' --shard 3/8 ./data",
    ],
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
    no_cache: bool,
    dryrun: bool,
) -> None:
    """Fetch a snapshot and write it into a directory.

    What the local cache holds is not fetched again; a snapshot that is complete there needs no store. What is damaged
    there is fetched again, and a warning says so. Files that differ are replaced; what is not in the snapshot stays,
    and is named in a warning. --include, --exclude and --shard bring a part of the snapshot; `snapdir status PATH`
    remembers which.
    """
    left_out, protected = protections(exclude, delete=delete)
    url = source_of(required_store(store) if no_cache else store, snapshot_id)
    wanted = invocation.full_id(snapshot_id, store=url, path=path)
    target = destination(path, force=force)
    invocation.transfer(
        partial(
            snapdir.pull,
            wanted,
            url,
            target,
            objects_store=pool_of(objects_store),
            include=include,
            exclude=left_out,
            shard=shard,
            delete=delete,
            protect=protected,
            linked=linked,
            use_cache=not no_cache,
            overwrite=not no_overwrite,
            strict=strict,
            keep=keep,
            preserve_special_modes=preserve_special_modes,
            dry_run=dryrun,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=url,
    )
    if not no_cache:
        report_fetched(invocation, wanted, dry_run=dryrun)
    report_selection(invocation, wanted)
    report_checked_out(invocation, wanted, target, delete=delete, dry_run=dryrun)
