"""snapdir receive-pack: a stream of objects and a manifest, into a store."""

from __future__ import annotations

from functools import partial

import click

from snapdir.cli import options
from snapdir.cli.configuration import WRITING
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Single, text
from snapdir.cli.pipes import InputPipe
from snapdir.cli.targets import pool_of, required_store
from snapdir.cli.verb import Verb
from snapdir.model.digest import Digest


@click.command(
    "receive-pack",
    cls=Verb,
    hidden=True,
    params=[
        Single("--require-manifest", metavar="<ID>", parse=text, help="The snapshot that the pack must bring."),
        *options.store(),
        *options.pool(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(writing=True),
    ],
    variables=WRITING,
    examples=[
        "snapdir receive-pack --store ./store < pack",
        "snapdir receive-pack --store s3://bucket/sets --require-manifest $ID < pack",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation, *, require_manifest: str | None, store: str | None, objects_store: str | None
) -> None:
    """Put what a pack on standard input holds into a store.

    Every object is hashed before it is stored. The manifest is stored last, and only when the pack was complete.
    """
    from snapdir.api.packs import receive_pack

    url, pool = required_store(store), pool_of(objects_store)
    received = invocation.run(
        partial(
            receive_pack,
            InputPipe().read,
            url,
            require_manifest=None if require_manifest is None else Digest(require_manifest),
            objects_store=pool,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=url,
    )
    brought = f", manifest {received.snapshot_id}" if received.snapshot_id else ""
    invocation.terminal.note(
        f"received pack: {received.written} object(s) written, {received.skipped} skipped{brought}"
    )
