"""snapdir verify: whether a store holds exactly the bytes of a snapshot."""

from __future__ import annotations

from functools import partial

import click

from snapdir.cli import options
from snapdir.cli.configuration import FSYNC
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, text
from snapdir.cli.targets import pool_of, required_store
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb
from snapdir.errors import SnapdirError

NO_PURGE = (
    "snapdir: `verify` does not support --purge; use `verify-cache --purge` for the local cache, "
    "or `verify --repair-from DIR` for a store"
)


@click.command(
    "verify",
    cls=Verb,
    params=[
        *options.store(),
        *options.pool(),
        Single(
            "--repair-from",
            metavar="<DIR>",
            parse=text,
            section="Store",
            help="Replace missing and damaged objects by files of this directory that have the right content.",
        ),
        *options.snapshot("Snapshot to verify"),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        Flag("--purge", is_flag=True, hidden=True),
        Flag("--dryrun", is_flag=True, hidden=True),
        *options.accepted("--force", "--cache-dir"),
    ],
    variables=[FSYNC],
    examples=[
        "snapdir verify --store s3://bucket/sets --id $ID",
        "snapdir verify --store s3://bucket/sets --id $ID --repair-from ./data",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    store: str | None,
    objects_store: str | None,
    repair_from: str | None,
    snapshot_id: str | None,
    purge: bool,
    dryrun: bool,
) -> None:
    """Read a snapshot back from its store and check every byte.

    Says nothing when all is well. Nothing is written, unless --repair-from is given.
    """
    from snapdir import api

    if purge:
        raise SnapdirError(NO_PURGE)
    if dryrun and repair_from is not None:
        raise UsageMistake(
            "the argument '--dryrun' cannot be used with '--repair-from <DIR>'", click.get_current_context()
        )
    url = required_store(store)
    wanted = invocation.full_id(snapshot_id, store=url)
    invocation.run(
        partial(
            api.verify,
            wanted,
            url,
            objects_store=pool_of(objects_store),
            repair_from=repair_from,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=url,
    )
