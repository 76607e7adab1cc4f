"""snapdir cat: the content of files of a snapshot."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import anyio.to_thread

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Choice, Positional, Single, section
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command

STDOUT = "-"


@command(
    Positional(
        "words",
        nargs=-1,
        metavar="REF PATH...",
        use="STORE@ID, or an id of --store or the cache, and files in the snapshot; with --id only files.",
    ),
    *section(
        "Output",
        Single("--output", metavar="<FILE>", help="Write to this file, which is replaced when all bytes are there."),
        Single(
            "--range",
            metavar="<RANGE>",
            help="Part of each file: 0-99 (the first 100 bytes), 100- (all after those) or -100 (the last 100).",
        ),
        Single(
            "--verify",
            metavar="<WHEN>",
            parse=Choice("before", "after", "never"),
            unset="before",
            help="before (default) prints nothing of a file until all of it is verified; a file above 16 MiB goes "
            "through an unnamed file in the cache directory. after prints bytes as they arrive and fails at the end "
            "if they were wrong. never fetches just the --range, which cannot be verified.",
        ),
    ),
    *options.store(),
    *options.pool(),
    *options.snapshot("Instead of REF, a snapshot of --store or the cache"),
    *settings.cache(),
    *settings.transfer(),
    examples=[
        "snapdir cat s3://bucket/sets@$ID train/labels.json",
        "snapdir cat --store ./store --id $ID --range 0-99 weights.bin --output header",
        "snapdir cat --verify after s3://bucket/sets@$ID train.tar | tar x",
    ],
)
def cat(
    invocation: Invocation, /, *, words: tuple[str, ...], snapshot_id: str | None, output: str | None, **given: Any
) -> None:
    """Print files of a snapshot, one after the other.

    Every byte is verified before it is printed; see --verify. All PATHs are looked up before anything is printed.
    """
    ref, paths = (snapshot_id, words) if snapshot_id is not None else (next(iter(words), None), words[1:])
    if ref is None:
        raise UsageMistake("expected STORE@ID and one or more files in the snapshot")
    if not paths:
        raise UsageMistake("expected one or more files in the snapshot: snapdir cat STORE@ID PATH...")
    if given["verify"] == "after":
        invocation.terminal.note("--verify after: the bytes are right only if the exit code is 0")
    if output is not None and output != STDOUT:
        invocation.run(snapdir.cat, ref, *paths, output=output, **given)
        return
    invocation.run(_print_files, ref, paths, **given)


async def _print_files(ref: str, paths: tuple[str, ...], **given: Any) -> None:
    from snapdir.api.cat import send_files
    from snapdir.cli.pipes import OutputPipe

    with closing(OutputPipe()) as stdout:

        async def send(block: bytes) -> None:
            await anyio.to_thread.run_sync(stdout.write, block)

        await send_files(ref, paths, send, **given)
