"""snapdir manifest and id: the content of a directory as text, and its id."""

from __future__ import annotations

import sys
from typing import Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, section
from snapdir.cli.settings import KEYED_CONTEXT, VERIFY_COPIES
from snapdir.cli.tables import entry_fields, write_json, write_json_lines
from snapdir.cli.terminal import printable, write_output
from snapdir.cli.verb import command
from snapdir.errors import InvalidManifest, SnapdirError, local_errors
from snapdir.model.sizes import MIB

CHECKSUMS = ("b3sum", "md5sum", "sha256sum")
NOTHING_GIVEN = "no directory given and no manifest on stdin; pass a PATH (or `.`), or pipe a manifest"


@command(
    options.path(),
    *options.walk(),
    *options.workers(),
    *options.remembering(),
    *settings.index(),
    *section(
        "Output",
        Flag("--absolute", help="Write absolute paths instead of ./ paths."),
        Single(
            "--checksum-bin",
            metavar="<NAME>",
            help="Checksum of files: b3sum (default), md5sum or sha256sum. Only b3sum snapshots can be stored.",
        ),
    ),
    *options.output(),
    *settings.catalog(recorded=False),
    variables=[KEYED_CONTEXT, VERIFY_COPIES],
    examples=["snapdir manifest ./data", "snapdir manifest --exclude '%common%,\\.tmp$' ./data > data.manifest"],
)
def manifest(
    invocation: Invocation,
    /,
    *,
    path: str | None,
    checksum_bin: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Print the manifest of a directory: one line per file and directory."""
    checksum = checksum_bin or CHECKSUMS[0]
    if checksum not in CHECKSUMS:
        raise SnapdirError(f"unsupported --checksum-bin '{checksum}'; use {', '.join(CHECKSUMS)}")
    invocation.run(
        snapdir.manifest,
        path or ".",
        **options.tree_arguments(given, invocation.config),
        trust_links=True,
        checksum_bin=checksum,
        show=write_entries if as_json else write_text,
    )


def write_text(found: snapdir.Manifest) -> None:
    """The manifest's own text; on a terminal, characters that could steer it are escaped."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    for block in found.blocks():
        write_output("\n".join(map(printable, block.decode().split("\n"))) if on_terminal else block)


def write_entries(found: snapdir.Manifest) -> None:
    write_json_lines(entry_fields(entry) for entry in found)


@command(
    options.path(use="The directory; without it, a manifest is read from standard input."),
    *options.walk(),
    *options.workers(),
    *options.remembering(),
    *settings.index(),
    *options.output(),
    variables=[KEYED_CONTEXT, VERIFY_COPIES],
    examples=[
        "snapdir id ./data",
        "snapdir id --ignore '*.tmp' ./data",
        "snapdir id --workers 3 ./data",
        "snapdir id --rehash ./data",
        "snapdir manifest ./data | snapdir id",
    ],
)
def id(invocation: Invocation, /, *, path: str | None, as_json: bool, **given: Any) -> None:
    """Print the id of a directory, or of a manifest on standard input.

    Directories with the same content have the same id. Nothing is stored.
    """
    if path is None:
        identifier = _id_of_input()
    else:
        given = options.tree_arguments(given, invocation.config)
        identifier = invocation.run(snapdir.id, path, **given, trust_links=True)
    if as_json:
        left_out = [{"path": path, "reason": reason} for path, reason in invocation.counters.left_out]
        write_json({"id": identifier, "left_out": left_out})
    else:
        invocation.print(identifier)


def _id_of_input() -> str:
    from snapdir.model.manifest import ManifestReader

    if sys.stdin is None or sys.stdin.isatty():
        raise SnapdirError(NOTHING_GIVEN)
    try:
        with local_errors("standard input"):
            reader = ManifestReader()
            while piece := sys.stdin.buffer.read(MIB):
                reader.feed(piece)
            return snapdir.id_from_manifest(reader.finish())
    except InvalidManifest as error:
        raise SnapdirError(f"no valid manifest on stdin: {error.reason}") from error
