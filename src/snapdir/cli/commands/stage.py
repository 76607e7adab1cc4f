"""snapdir stage: a directory into the local cache."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import options, render
from snapdir.cli.configuration import KEYED_CONTEXT, WRITING
from snapdir.cli.invocation import Invocation
from snapdir.cli.provenance import provenance, provenance_options
from snapdir.cli.targets import exclusions
from snapdir.cli.verb import Verb


@click.command(
    "stage",
    cls=Verb,
    params=[
        options.path("DIR"),
        *options.walk(),
        *options.cache(),
        *options.engine(),
        *options.dry_run(),
        *options.catalog(),
        *provenance_options(),
        *options.hidden(options.rates(), options.retries(), options.bucket()),
        *options.accepted("--store", "--objects-store", "--id", "--force", "--keep"),
    ],
    variables=[KEYED_CONTEXT, *WRITING],
    examples=["snapdir stage ./data", "snapdir push --store s3://bucket/sets --id $(snapdir stage ./data)"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    path: str | None,
    exclude: tuple[str, ...],
    no_follow: bool,
    dryrun: bool,
    derived_from: tuple[str, ...],
    note: str | None,
    labels: dict[str, str],
) -> None:
    """Keep a directory in the local cache and print its id.

    The snapshot can then be pushed or checked out by its id.
    """
    said = provenance(derived_from, note, labels)
    patterns, no_follow = exclusions(exclude, no_follow=no_follow, config=invocation.config)
    staged = invocation.transfer(
        partial(
            snapdir.stage,
            path or ".",
            no_follow=no_follow,
            exclude=patterns,
            dry_run=dryrun,
            derived_from=said.derived_from,
            note=said.note,
            labels=said.labels,
            config=invocation.config,
            counters=invocation.counters,
        ),
        show=invocation.print,
    )
    if dryrun:
        invocation.terminal.note(render.dry_run(f"stage {staged} into the local cache"))
