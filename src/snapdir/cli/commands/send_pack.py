"""snapdir send-pack: objects and a manifest of a store, as one stream."""

from __future__ import annotations

import os
from contextlib import closing

import click

from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Single, choice, text
from snapdir.cli.pipes import InputPipe, OutputPipe
from snapdir.cli.targets import pool_of, required_store
from snapdir.cli.verb import Verb
from snapdir.errors import local_errors


@click.command(
    "send-pack",
    cls=Verb,
    hidden=True,
    params=[
        Single("--ids", metavar="<FILE>", parse=text, required=True, help="Checksums, one on a line; - is stdin."),
        Single("--manifest-id", metavar="<ID>", parse=text, help="A snapshot whose manifest goes last."),
        Single("--pack-format", metavar="<FORMAT>", parse=choice("v1", "zstd"), help="v1 (the default) or zstd."),
        *options.store(),
        *options.pool(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
    ],
    examples=[
        "snapdir send-pack --store ./store --ids missing --manifest-id $ID > pack",
        "snapdir send-pack --store ./a --ids - --manifest-id $ID < missing | snapdir receive-pack --store ./b",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    ids: str,
    manifest_id: str | None,
    pack_format: str | None,
    store: str | None,
    objects_store: str | None,
) -> None:
    """Write objects of a store, and a manifest behind them, to standard output.

    Every object is hashed on its way out. The last line is missing where anything went wrong.
    """
    url, pool = required_store(store), pool_of(objects_store)
    snapshot_id = None if manifest_id is None else invocation.full_id(manifest_id, store=url)

    async def send() -> int:
        import anyio.to_thread

        from snapdir.api.packs import send_pack
        from snapdir.model.pack import parse_digests

        digests = parse_digests(await anyio.to_thread.run_sync(_read_ids, ids))
        with closing(OutputPipe()) as output:
            await send_pack(
                digests,
                url,
                output.write,
                manifest_id=snapshot_id,
                compressed=pack_format == "zstd",
                objects_store=pool,
                config=invocation.config,
                counters=invocation.counters,
            )
        return len(digests)

    count = invocation.run(send, store=url)
    invocation.terminal.note(f"sent pack: {count} object(s){' + manifest' if snapshot_id else ''}")


def _read_ids(file: str) -> bytes:
    if file == "-":
        return InputPipe().read_all()
    with local_errors(file):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return InputPipe(descriptor, file).read_all()
    finally:
        os.close(descriptor)
