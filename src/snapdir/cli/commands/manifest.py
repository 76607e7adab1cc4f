"""snapdir manifest: what a directory holds, as text."""

from __future__ import annotations

import sys
from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import KEYED_CONTEXT, VERIFY_COPIES
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, text
from snapdir.cli.tables import entry_fields, write_json_lines
from snapdir.cli.targets import exclusions
from snapdir.cli.terminal import printable, write_output
from snapdir.cli.verb import Verb
from snapdir.errors import SnapdirError

CHECKSUMS = ("b3sum", "md5sum", "sha256sum")


@click.command(
    "manifest",
    cls=Verb,
    params=[
        options.path(),
        *options.walk(),
        Flag("--absolute", is_flag=True, section="Output", help="Write absolute paths instead of ./ ones."),
        Single(
            "--checksum-bin",
            metavar="<NAME>",
            parse=text,
            section="Output",
            help="Checksum of files: b3sum (the default, and the only one stores know), md5sum or sha256sum.",
        ),
        *options.output(),
        *options.catalog(unasked=False),
    ],
    variables=[KEYED_CONTEXT, VERIFY_COPIES],
    examples=["snapdir manifest ./data", "snapdir manifest --exclude '%common%,\\.tmp$' ./data > data.manifest"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    path: str | None,
    exclude: tuple[str, ...],
    no_follow: bool,
    absolute: bool,
    checksum_bin: str | None,
    as_json: bool,
) -> None:
    """Print the manifest of a directory: one line per file and directory."""
    checksum = checksum_bin or CHECKSUMS[0]
    if checksum not in CHECKSUMS:
        raise SnapdirError(f"snapdir: unsupported --checksum-bin '{checksum}'; use {', '.join(CHECKSUMS)}")
    patterns, no_follow = exclusions(exclude, no_follow=no_follow, config=invocation.config)
    invocation.run(
        partial(
            snapdir.manifest,
            path or ".",
            no_follow=no_follow,
            absolute=absolute,
            exclude=patterns,
            trust_links=True,
            checksum_bin=checksum,
            config=invocation.config,
            counters=invocation.counters,
        ),
        show=write_entries if as_json else write_text,
    )


def write_text(found: snapdir.Manifest) -> None:
    """The manifest's own text, as it is; on a terminal no name may steer it."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    lines = map(printable, found.raw.split("\n")) if on_terminal else [found.raw]
    write_output("\n".join([*lines, ""]))


def write_entries(found: snapdir.Manifest) -> None:
    write_json_lines(entry_fields(entry) for entry in found.entries)
