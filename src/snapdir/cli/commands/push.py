"""snapdir push: a directory, or a snapshot of the cache, into a store."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options, render
from snapdir.cli.configuration import KEYED_CONTEXT, WRITING
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag
from snapdir.cli.provenance import Said, provenance, provenance_options
from snapdir.cli.targets import exclusions, pool_of, required_store
from snapdir.cli.verb import Verb
from snapdir.errors import ManifestNotFound, SnapdirError


@click.command(
    "push",
    cls=Verb,
    params=[
        options.path(),
        *options.store(),
        *options.pool(),
        Flag("--recheck", is_flag=True, section="Store", help="Look at objects the store has; replace damaged ones."),
        *options.snapshot("Without PATH: push this snapshot of the local cache"),
        *options.walk(),
        *options.cache(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(writing=True),
        *options.dry_run(),
        *options.catalog(),
        *options.shared_catalog(),
        *provenance_options(),
        *options.accepted("--force", "--keep"),
    ],
    variables=[KEYED_CONTEXT, *WRITING],
    examples=[
        "snapdir push --store s3://bucket/sets ./data",
        "snapdir push --store ./store --exclude '%common%' ./data",
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
    exclude: tuple[str, ...],
    no_follow: bool,
    recheck: bool,
    dryrun: bool,
    derived_from: tuple[str, ...],
    note: str | None,
    labels: dict[str, str],
) -> None:
    """Store a directory and print its id.

    Only objects the store lacks are sent, and the snapshot appears when all of them are there.
    """
    url, pool = required_store(store), pool_of(objects_store)
    said = provenance(derived_from, note, labels)
    if path is None and snapshot_id is not None:
        pushed = _push_cached(invocation, snapshot_id, url, pool, said, recheck=recheck, dry_run=dryrun)
    else:
        if snapshot_id is not None:
            invocation.terminal.warn("--id is ignored because PATH is given")
        patterns, no_follow = exclusions(exclude, no_follow=no_follow, config=invocation.config)
        pushed = _push_directory(
            invocation,
            path or ".",
            url,
            pool,
            said,
            exclude=patterns,
            no_follow=no_follow,
            recheck=recheck,
            dry_run=dryrun,
        )
    if dryrun:
        invocation.terminal.note(render.dry_run(f"push {pushed} to {store}"))


def _push_directory(
    invocation: Invocation,
    path: str,
    store: str,
    pool: str | None,
    said: Said,
    *,
    exclude: list[str],
    no_follow: bool,
    recheck: bool,
    dry_run: bool,
) -> str:
    return invocation.transfer(
        partial(
            snapdir.push,
            path,
            store,
            objects_store=pool,
            no_follow=no_follow,
            exclude=exclude,
            recheck=recheck,
            dry_run=dry_run,
            derived_from=said.derived_from,
            note=said.note,
            labels=said.labels,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=store,
        show=invocation.print,
    )


def _push_cached(
    invocation: Invocation,
    given_id: str,
    store: str,
    pool: str | None,
    said: Said,
    *,
    recheck: bool,
    dry_run: bool,
) -> str:
    snapshot_id = invocation.full_id(given_id)
    try:
        return invocation.transfer(
            partial(
                snapdir.push_cached,
                snapshot_id,
                store,
                objects_store=pool,
                recheck=recheck,
                dry_run=dry_run,
                derived_from=said.derived_from,
                note=said.note,
                labels=said.labels,
                config=invocation.config,
                counters=invocation.counters,
            ),
            store=store,
            show=invocation.print,
        )
    except ManifestNotFound as error:
        raise SnapdirError(f"manifest {snapshot_id} not found in the local cache; stage or fetch it first") from error
