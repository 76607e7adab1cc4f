"""snapdir push and stage: a directory, or a cached snapshot, into a store or the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import snapdir
from snapdir.cli import options, render, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.outcome import of_push, write_outcome
from snapdir.cli.parameters import Flag, Single, section
from snapdir.cli.settings import KEYED_CONTEXT, WRITING
from snapdir.cli.verb import command
from snapdir.errors import LocalError, ManifestNotFound, SnapdirError, UnknownId, local_errors

MAX_FILE_BYTES = 1 << 20
READING = ("exclude", "ignore", "ignore_from", "no_follow", "dereference")
"""How a directory is read, which a snapshot of the cache is not."""


def _provenance() -> list[Flag]:
    """The provenance of a snapshot, which is recorded and is not part of the id."""
    return section(
        "History",
        Flag(
            "--derived-from",
            metavar="<ID>",
            multiple=True,
            callback=_sources,
            help="A snapshot from which this one was made, known to this machine or the store; STORE@ID or STORE@NAME "
            "for one of another store; repeatable; @FILE reads one per line.",
        ),
        Flag("--unchecked", help="Record --derived-from without looking for the snapshots."),
        Single("--note", metavar="<TEXT>", help="A note about this snapshot."),
        Flag(
            "--label",
            "labels",
            metavar="<KEY=VALUE>",
            multiple=True,
            callback=options.pairs,
            help="A label of this snapshot; repeatable.",
        ),
    )


def _sources(_ctx: click.Context, _: click.Parameter, given: Sequence[str]) -> list[str]:
    """Ids, and those in files.

    Raises:
        LocalError: a file cannot be read, or is longer than 1 MiB.
    """
    return [source for text in given for source in (_ids_in(text[1:]) if text.startswith("@") else (text,))]


def _ids_in(name: str) -> Iterator[str]:
    file = Path(name).expanduser()
    with local_errors(file), file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise LocalError(file, "a file of ids must not be larger than 1 MiB")
    lines = (line.strip() for line in content.decode(errors="replace").splitlines())
    yield from (line for line in lines if line and not line.startswith("#"))


@command(
    options.path("DIR"),
    *options.walk(),
    *settings.cache(),
    *settings.local(),
    *options.dry_run(),
    *settings.catalog(),
    *_provenance(),
    *options.hidden(settings.network()),
    *options.outcome(),
    *options.accepted("--store", "--objects-store", "--id", "--force", "--keep"),
    variables=[KEYED_CONTEXT, *WRITING],
    examples=["snapdir stage ./data", "snapdir push --store s3://bucket/sets --id $(snapdir stage ./data)"],
)
def stage(invocation: Invocation, /, *, path: str | None, as_json: bool, **given: Any) -> None:
    """Store a directory in the local cache and print its id.

    `snapdir push --id` and `snapdir checkout --id` then use the snapshot.
    """
    given = options.tree_arguments(given, invocation.config)
    staged = invocation.transfer(snapdir.stage, path or ".", show=_shown(invocation, as_json), **given)
    if given["dry_run"]:
        _print_planned(invocation)
        invocation.terminal.note(render.dry_run(f"stage {staged} into the local cache"))
    if as_json:
        write_outcome(of_push(staged, invocation), invocation, dry_run=given["dry_run"])


def _shown(invocation: Invocation, as_json: bool) -> Callable[[str], None] | None:
    """What to do with the id when it is known: print it, unless JSON has it at the end."""
    return None if as_json else invocation.print


@command(
    options.path(),
    *options.store(),
    *options.pool(),
    Flag(
        "--recheck", section="Store", help="Check the objects that are in the store already, and replace damaged ones."
    ),
    *options.snapshot("Without PATH, push this snapshot of the local cache"),
    *options.walk(),
    *settings.cache(),
    *settings.transfer(writing=True),
    *options.dry_run(),
    *settings.catalog(),
    *settings.shared_catalog(),
    *_provenance(),
    *options.outcome(),
    *options.accepted("--force", "--keep"),
    variables=[KEYED_CONTEXT, *WRITING],
    examples=[
        "snapdir push --store s3://bucket/sets ./data",
        "snapdir push --store ./store --ignore '*.tmp' --ignore-from .gitignore ./data",
        "snapdir push --store s3://bucket/sets --json ./data > pushed.json",
        "snapdir push --store ./store --exclude '%common%' ./data",
        "snapdir push --store s3://bucket/models --derived-from s3://bucket/sets@v1 ./model",
    ],
)
def push(
    invocation: Invocation,
    /,
    *,
    path: str | None,
    store: str | None,
    snapshot_id: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Store a directory and print its id.

    Only objects that the store lacks are sent. The manifest is written last, so an interrupted push publishes nothing.
    """
    url, given["show"] = options.required_store(store), _shown(invocation, as_json)
    if path is None and snapshot_id is not None:
        given = {name: value for name, value in given.items() if name not in READING}
        pushed = _push_cached(invocation, snapshot_id, url, **given)
    else:
        if snapshot_id is not None:
            invocation.terminal.warn("--id is ignored because PATH is given")
        given = options.tree_arguments(given, invocation.config)
        pushed = invocation.transfer(snapdir.push, path or ".", url, **given)
    if given["dry_run"]:
        _print_planned(invocation)
        invocation.terminal.note(render.dry_run(f"push {pushed} to {store}"))
    if as_json:
        write_outcome(of_push(pushed, invocation), invocation, dry_run=given["dry_run"])


def _print_planned(invocation: Invocation) -> None:
    """What a dry run would send."""
    counters = invocation.counters
    invocation.terminal.note(render.planned(counters.snapshot_files, counters.snapshot_bytes, render.to_send(counters)))


def _push_cached(invocation: Invocation, snapshot_id: str, store: str, **given: Any) -> str:
    try:
        return invocation.transfer(snapdir.push_cached, snapshot_id, store, **given)
    except UnknownId:
        raise
    except ManifestNotFound as error:
        raise SnapdirError(
            f"manifest {error.snapshot_id} not found in the local cache; stage or fetch it first"
        ) from error
