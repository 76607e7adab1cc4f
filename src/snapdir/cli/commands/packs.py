"""snapdir objects-needed, send-pack and receive-pack: transfers to and from another snapdir through a pipe."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import anyio.to_thread

from snapdir.api import packs
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Choice, Single
from snapdir.cli.pipes import InputPipe, OutputPipe
from snapdir.cli.settings import WRITING
from snapdir.cli.terminal import write_output
from snapdir.cli.verb import command
from snapdir.errors import local_errors
from snapdir.model.pack import parse_digests


@command(
    *options.store(),
    *options.pool(),
    *settings.transfer(),
    hidden=True,
    examples=[
        "snapdir objects-needed --store ./store < checksums",
        "snapdir objects-needed --store s3://bucket/sets < checksums > missing",
    ],
)
def objects_needed(invocation: Invocation, /, *, store: str | None, objects_store: str | None) -> None:
    """Read checksums from standard input and print those that a store lacks.

    Reads and prints one checksum per line. Prints each checksum once, in the order of the input.
    """
    url = options.required_store(store)

    async def ask(**given: Any) -> list[str]:
        digests = parse_digests(await anyio.to_thread.run_sync(InputPipe().read_all))
        return await packs.objects_needed(digests, url, objects_store=objects_store, config=given["config"])

    absent = invocation.run(ask)
    write_output("".join(f"{digest}\n" for digest in absent))


@command(
    Single("--ids", metavar="<FILE>", required=True, help="Checksums, one per line; - is standard input."),
    Single("--manifest-id", metavar="<ID>", help="Send the manifest of this snapshot after the objects."),
    Single("--pack-format", metavar="<FORMAT>", parse=Choice("v1", "zstd"), help="v1 (default) or zstd."),
    *options.store(),
    *options.pool(),
    *settings.transfer(),
    hidden=True,
    examples=[
        "snapdir send-pack --store ./store --ids missing --manifest-id $ID > pack",
        "snapdir send-pack --store ./a --ids - --manifest-id $ID < missing | snapdir receive-pack --store ./b",
    ],
)
def send_pack(
    invocation: Invocation,
    /,
    *,
    ids: str,
    manifest_id: str | None,
    pack_format: str | None,
    store: str | None,
    objects_store: str | None,
) -> None:
    """Write objects of a store, and then a manifest, to standard output.

    Every object is hashed while it is sent. If send-pack fails, the pack lacks its last line and is rejected.
    """
    url = options.required_store(store)

    async def send(**given: Any) -> int:
        digests = parse_digests(await anyio.to_thread.run_sync(_read_ids, ids))
        with closing(OutputPipe()) as output:
            given |= {"manifest_id": manifest_id, "compressed": pack_format == "zstd", "objects_store": objects_store}
            await packs.send_pack(digests, url, output.write, **given)
        return len(digests)

    count = invocation.run(send)
    invocation.terminal.note(f"sent pack: {count} object(s){' + manifest' if manifest_id else ''}")


def _read_ids(file: str) -> bytes:
    if file == "-":
        return InputPipe().read_all()
    with local_errors(file):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return InputPipe(descriptor, file).read_all()
    finally:
        os.close(descriptor)


@command(
    Single("--require-manifest", metavar="<ID>", help="Fail unless the pack contains the manifest of this snapshot."),
    *options.store(),
    *options.pool(),
    *settings.transfer(writing=True),
    hidden=True,
    variables=WRITING,
    examples=[
        "snapdir receive-pack --store ./store < pack",
        "snapdir receive-pack --store s3://bucket/sets --require-manifest $ID < pack",
    ],
)
def receive_pack(invocation: Invocation, /, *, store: str | None, **given: Any) -> None:
    """Store the objects and the manifest of a pack on standard input.

    Every object is hashed before it is stored. The manifest is stored last, and only if the pack is complete.
    """
    received = invocation.run(packs.receive_pack, InputPipe().read, options.required_store(store), **given)
    brought = f", manifest {received.snapshot_id}" if received.snapshot_id else ""
    invocation.terminal.note(
        f"received pack: {received.written} object(s) written, {received.skipped} skipped{brought}"
    )
