"""snapdir fetch: a snapshot into the local cache."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import WRITING
from snapdir.cli.invocation import Invocation
from snapdir.cli.reports import report_fetched, report_selection
from snapdir.cli.targets import pool_of, source_of
from snapdir.cli.verb import Verb


@click.command(
    "fetch",
    cls=Verb,
    params=[
        *options.store(),
        *options.pool(),
        *options.snapshot("Snapshot to fetch"),
        *options.selection(),
        *options.cache(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
        *options.dry_run(),
        *options.accepted("--catalog", "--force", "--keep"),
    ],
    variables=WRITING,
    examples=[
        "snapdir fetch --store s3://bucket/sets --id $ID",
        "snapdir fetch --store s3://bucket/sets --id $ID && snapdir checkout --id $ID ./data",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    store: str | None,
    objects_store: str | None,
    snapshot_id: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    shard: str | None,
    dryrun: bool,
) -> None:
    """Bring a snapshot into the local cache.

    Only missing objects are fetched, each verified. A complete cache needs no store: its objects are compared by
    length, and `snapdir verify-cache` hashes them.
    With --include, --exclude or --shard the cache holds the snapshot in part, which is enough to check that part out.
    """
    url = source_of(store, snapshot_id)
    wanted = invocation.full_id(snapshot_id, store=url)
    invocation.transfer(
        partial(
            snapdir.fetch,
            wanted,
            url,
            objects_store=pool_of(objects_store),
            include=include,
            exclude=exclude,
            shard=shard,
            dry_run=dryrun,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=url,
    )
    report_selection(invocation, wanted)
    report_fetched(invocation, wanted, dry_run=dryrun)
