"""snapdir objects-needed: which of some objects a store lacks."""

from __future__ import annotations

import click

from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.pipes import InputPipe
from snapdir.cli.targets import pool_of, required_store
from snapdir.cli.terminal import write_output
from snapdir.cli.verb import Verb


@click.command(
    "objects-needed",
    cls=Verb,
    hidden=True,
    params=[
        *options.store(),
        *options.pool(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
    ],
    examples=[
        "snapdir objects-needed --store ./store < checksums",
        "snapdir objects-needed --store s3://bucket/sets < checksums > missing",
    ],
)
@click.pass_obj
def command(invocation: Invocation, *, store: str | None, objects_store: str | None) -> None:
    """Print which of the objects on standard input a store lacks.

    Checksums come and go one on a line; the order stays and repeats are dropped.
    """
    url, pool = required_store(store), pool_of(objects_store)

    async def ask() -> list[str]:
        import anyio.to_thread

        from snapdir.api.packs import objects_needed
        from snapdir.model.pack import parse_digests

        digests = parse_digests(await anyio.to_thread.run_sync(InputPipe().read_all))
        return await objects_needed(digests, url, objects_store=pool, config=invocation.config)

    absent = invocation.run(ask, store=url)
    write_output("".join(f"{digest}\n" for digest in absent))
