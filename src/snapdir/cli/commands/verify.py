"""snapdir verify: whether a store holds exactly the bytes of a snapshot."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import FSYNC
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, text
from snapdir.cli.render import verified
from snapdir.cli.tables import write_json
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
        *options.bucket(writing=True),
        *options.output(),
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
    as_json: bool,
) -> None:
    """Read a snapshot back from its store and check every byte.

    Says nothing when all is well, but one line of figures on a terminal. Nothing is written, unless --repair-from is
    given.
    """
    if purge:
        raise SnapdirError(NO_PURGE)
    clashing = [flag for flag, given in {"--dryrun": dryrun, "--json": as_json}.items() if given]
    if clashing and repair_from is not None:
        raise UsageMistake(
            f"the argument '{clashing[0]}' cannot be used with '--repair-from <DIR>'", click.get_current_context()
        )
    url = required_store(store)
    wanted = invocation.full_id(snapshot_id, store=url)
    pool = pool_of(objects_store)
    if as_json:
        _examine(invocation, wanted, url, pool)
    else:
        _verify(invocation, wanted, url, pool, repair_from)


def _verify(invocation: Invocation, wanted: str, url: str, pool: str | None, repair_from: str | None) -> None:
    check = partial(
        snapdir.verify,
        wanted,
        url,
        objects_store=pool,
        repair_from=repair_from,
        config=invocation.config,
        counters=invocation.counters,
    )
    if repair_from is None:
        invocation.measured(check, verified, store=url)
    else:
        invocation.run(check, store=url)


def _examine(invocation: Invocation, wanted: str, url: str, pool: str | None) -> None:
    config, counters = invocation.config, invocation.counters
    report = invocation.run(
        partial(snapdir.examine, wanted, url, objects_store=pool, config=config, counters=counters), store=url
    )
    write_json(
        {
            "ok": not report.damage,
            "id": report.id,
            "store": report.store,
            "objects": report.object_count,
            "bytes": report.sound_bytes,
            "corrupt": [{"object": one.digest, "path": one.path} for one in report.corrupt],
            "missing": [{"object": one.digest, "path": one.path} for one in report.missing],
        }
    )
    report.require_sound()
