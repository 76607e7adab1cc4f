"""snapdir sync: snapshots from store to store."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.configuration import FSYNC
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, text
from snapdir.cli.targets import NO_ID, is_remote, is_same_store, pool_of, store_url
from snapdir.cli.terminal import Terminal
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb
from snapdir.errors import SnapdirError
from snapdir.model.digest import Digest
from snapdir.transfer.engine.reports import SyncReport

MAX_LISTED = 20


@click.command(
    "sync",
    cls=Verb,
    params=[
        Single(
            "--from",
            "source",
            metavar="<URI>",
            parse=text,
            variable="SNAPDIR_STORE",
            section="Stores",
            help="The store that has the snapshot.",
        ),
        Single("--to", "target", metavar="<URI>", parse=text, section="Stores", help="The store that is to have it."),
        Single(
            "--from-objects", metavar="<URI>", parse=text, section="Stores", help="The pool of --from, if it has one."
        ),
        Single("--to-objects", metavar="<URI>", parse=text, section="Stores", help="The pool of --to, if it has one."),
        *options.snapshot("Snapshot to copy"),
        Flag(
            "--all", "every", is_flag=True, section="Snapshot", help="Copy every snapshot of --from that --to has not."
        ),
        Flag(
            "--delete",
            is_flag=True,
            section="Snapshot",
            help="Then remove the manifests of --to, a local directory, that --from does not have. Objects stay.",
        ),
        Flag(
            "--recheck",
            is_flag=True,
            section="Stores",
            help="Send every object again, whatever --to says it has, and hash it on the way.",
        ),
        Flag(
            "--no-server-copy",
            is_flag=True,
            section="Stores",
            help="Read and hash every object although one S3 service holds both stores and could copy by itself.",
        ),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(writing=True),
        *options.shared_catalog("With --all: leave out the history that travels with --from."),
        *options.dry_run(),
        *options.accepted("--store", "--objects-store", "--catalog", "--cache-dir", "--force", "--keep", "--linked"),
    ],
    variables=[FSYNC],
    examples=[
        "snapdir sync --from s3://bucket/sets --to ./mirror --id $ID",
        "snapdir sync --from ./store --to s3://bucket/sets --all",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    source: str | None,
    target: str | None,
    from_objects: str | None,
    to_objects: str | None,
    snapshot_id: str | None,
    every: bool,
    delete: bool,
    recheck: bool,
    no_server_copy: bool,
    dryrun: bool,
) -> None:
    """Copy a snapshot from one store to another, and print its id.

    What the other store has is not sent again. Objects come first, the manifest last, and nothing is kept on this
    machine.
    """
    if source is None or target is None:
        missing = "--from <URI>" if source is None else "--to <URI>"
        raise UsageMistake(
            f"the following required arguments were not provided: {missing}", click.get_current_context()
        )
    if every and snapshot_id is not None:
        raise UsageMistake("the argument '--all' cannot be used with '--id <ID>'", click.get_current_context())
    if snapshot_id is None and not every:
        raise SnapdirError(f"{NO_ID} (or --all)")
    verb: Callable[..., Coroutine[Any, Any, SyncReport]]
    verb = snapdir.sync_all if every else partial(snapdir.sync, snapshot_id or "")
    source, target = _different(source, target)
    report = invocation.transfer(
        partial(
            verb,
            src=source,
            dst=target,
            src_objects=pool_of(from_objects, "--from-objects"),
            dst_objects=pool_of(to_objects, "--to-objects"),
            delete=delete,
            recheck=recheck,
            server_copy=not no_server_copy,
            dry_run=dryrun,
            config=invocation.config,
            counters=invocation.counters,
        ),
        store=target if is_remote(target) else source,
    )
    for snapshot in () if dryrun else report.snapshots:
        invocation.print(snapshot)
    named = f"{len(report.snapshots):,} snapshot(s)" if every else report.snapshots[0]
    if dryrun:
        _list_pruned(report.pruned_snapshots, invocation.terminal)
    invocation.terminal.note(_summary(report, named, delete=delete, dry_run=dryrun))


def _different(source: str, target: str) -> tuple[str, str]:
    """Both in their normal form, if they are two places."""
    same = f"sync --from and --to must differ (both are {source})"
    if source == target:
        raise SnapdirError(same)
    source, target = store_url(source, "--from"), store_url(target, "--to")
    if is_same_store(source, target):
        raise SnapdirError(same)
    return source, target


def _list_pruned(snapshots: Sequence[Digest], terminal: Terminal) -> None:
    for snapshot in snapshots[:MAX_LISTED]:
        terminal.note(f"would delete: {snapshot}")
    if len(snapshots) > MAX_LISTED:
        terminal.note(f"would delete: {len(snapshots) - MAX_LISTED:,} other snapshot(s)")


def _summary(report: SyncReport, named: str, *, delete: bool, dry_run: bool) -> str:
    if dry_run:
        pruning = f" and prune {report.pruned} manifest(s)" if delete else ""
        only = "" if report.copied or not report.manifests else f", only {report.manifests:,} manifest(s)"
        return f"dry-run: would copy {report.copied} object(s){pruning} for {named}{only}"
    done = "mirrored" if delete else "synced"
    pruned = f", {report.pruned} manifest(s) pruned" if delete else ""
    return f"{done} {named}: {report.copied} copied, {report.skipped} skipped ({report.copied_bytes} bytes){pruned}"
