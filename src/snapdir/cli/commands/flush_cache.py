"""snapdir flush-cache: an empty local cache."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options, render
from snapdir.cli.invocation import Invocation
from snapdir.cli.terminal import print_error
from snapdir.cli.verb import Verb


@click.command(
    "flush-cache",
    cls=Verb,
    params=[*options.cache(), *options.dry_run(), *options.accepted("--store", "--purge", "--force")],
    examples=["snapdir flush-cache", "snapdir flush-cache --dryrun --cache-dir /scratch/cache"],
)
@click.pass_obj
def command(invocation: Invocation, *, dryrun: bool) -> None:
    """Remove all snapshots and objects from the local cache.

    Stores and checked-out directories stay as they are; links made with --linked lead nowhere until the snapshot is
    pulled again. A directory that does not look like a cache is refused.
    """
    invocation.run(partial(snapdir.flush_cache, dry_run=dryrun, config=invocation.config))
    if dryrun:
        print_error(render.dry_run(f"flush the cache at {invocation.config.cache_dir}"))
