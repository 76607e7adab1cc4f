"""snapdir id: the one name of a directory's content."""

from __future__ import annotations

import sys
from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import KEYED_CONTEXT, VERIFY_COPIES
from snapdir.cli.invocation import Invocation
from snapdir.cli.tables import write_json
from snapdir.cli.targets import exclusions
from snapdir.cli.verb import Verb
from snapdir.errors import InvalidManifest, LocalError, SnapdirError

NOTHING_GIVEN = "no directory given and no manifest on stdin; pass a PATH (or `.`), or pipe a manifest"


@click.command(
    "id",
    cls=Verb,
    params=[
        options.path(use="The directory; without it a manifest is read from standard input."),
        *options.walk(),
        *options.output(),
    ],
    variables=[KEYED_CONTEXT, VERIFY_COPIES],
    examples=["snapdir id ./data", "snapdir manifest ./data | snapdir id"],
)
@click.pass_obj
def command(
    invocation: Invocation, *, path: str | None, exclude: tuple[str, ...], no_follow: bool, as_json: bool
) -> None:
    """Print the id of a directory, or of a manifest on standard input.

    Equal trees have equal ids, wherever they are; nothing is stored. Without PATH a manifest is read from standard
    input, unless that is a terminal.
    """
    found = _id_of_input() if path is None else _id_of_directory(invocation, path, exclude, no_follow)
    if as_json:
        left_out = [{"path": path, "reason": reason} for path, reason in invocation.counters.left_out]
        write_json({"id": found, "left_out": left_out})
    else:
        invocation.print(found)


def _id_of_directory(invocation: Invocation, path: str, exclude: tuple[str, ...], no_follow: bool) -> str:
    patterns, no_follow = exclusions(exclude, no_follow=no_follow, config=invocation.config)
    return invocation.run(
        partial(
            snapdir.id,
            path,
            no_follow=no_follow,
            exclude=patterns,
            trust_links=True,
            config=invocation.config,
            counters=invocation.counters,
        )
    )


def _id_of_input() -> str:
    from snapdir.model.manifest import Manifest

    if sys.stdin is None or sys.stdin.isatty():
        raise SnapdirError(NOTHING_GIVEN)
    try:
        return snapdir.id_from_manifest(Manifest.parse(sys.stdin.buffer.read()))
    except InvalidManifest as error:
        raise SnapdirError(f"no valid manifest on stdin: {error.reason}") from error
    except OSError as error:
        raise LocalError("standard input", error.strerror or str(error), errno=error.errno) from error
