"""snapdir sync: snapshots from store to store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import snapdir
from snapdir.cli import options, render, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.outcome import of_sync, write_outcome
from snapdir.cli.parameters import Flag, Single, section
from snapdir.cli.settings import FSYNC
from snapdir.cli.terminal import Terminal
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.errors import InvalidStore, SnapdirError
from snapdir.model.digest import Digest
from snapdir.stores.urls import StoreURL

MAX_LISTED = 20


@command(
    *section(
        "Stores",
        Single("--from", "source", metavar="<URI>", variable="SNAPDIR_STORE", help="The store to copy from."),
        Single("--to", "target", metavar="<URI>", help="The store to copy to."),
        Single("--from-objects", "src_objects", metavar="<URI>", help="The pool of --from, if it has one."),
        Single("--to-objects", "dst_objects", metavar="<URI>", help="The pool of --to, if it has one."),
        Flag("--recheck", help="Hash every object and send it again, even if --to has it."),
        Flag(
            "--no-server-copy",
            "server_copy",
            inverted=True,
            help="Read and hash every object on this machine, even if both stores are in one S3 service that can copy "
            "objects itself.",
        ),
    ),
    *options.snapshot("Snapshot to copy"),
    *options.chosen_by_label(),
    *section(
        "Snapshot",
        Flag("--all", "every", help="Copy every snapshot of --from that --to lacks."),
        Flag(
            "--delete",
            help="Afterwards delete the manifests of --to, a local directory, that --from lacks. Objects stay.",
        ),
    ),
    *settings.transfer(writing=True),
    *settings.shared_catalog("With --all, do not copy the history of --from."),
    *options.dry_run(),
    *options.outcome(),
    *options.accepted("--store", "--objects-store", "--catalog", "--cache-dir", "--force", "--keep", "--linked"),
    variables=[FSYNC],
    examples=[
        "snapdir sync --from s3://bucket/sets --to ./mirror --id $ID",
        "snapdir sync --from ./store --to s3://bucket/sets --all",
    ],
)
def sync(
    invocation: Invocation,
    /,
    *,
    source: str | None,
    target: str | None,
    snapshot_id: str | None,
    labels: Mapping[str, str],
    every: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Copy a snapshot from one store to another, and print its id.

    Only objects that --to lacks are copied: objects first, the manifest last. Nothing is stored on this machine.
    Names are not copied: they belong to their store, and `snapdir tag` sets them in another one.
    """
    if source is None or target is None:
        missing = "--from <URI>" if source is None else "--to <URI>"
        raise UsageMistake(f"the following required arguments were not provided: {missing}")
    if every and labels:
        raise UsageMistake("the argument '--all' cannot be used with '--label <KEY=VALUE>'")
    snapshot_id = options.chosen(invocation, snapshot_id, labels, source)
    if every and snapshot_id is not None:
        raise UsageMistake("the argument '--all' cannot be used with '--id <ID>'")
    if not every:
        snapshot_id = options.required_id(snapshot_id, alternative=" (or --all)")
    _refuse_same(source, target)
    delete, dry_run = given["delete"], given["dry_run"]
    if snapshot_id is None:
        report = invocation.transfer(snapdir.sync_all, source, target, **given)
        names = f"{len(report.snapshots):,} snapshot(s)"
    else:
        report = invocation.transfer(snapdir.sync, snapshot_id, source, target, **given)
        names = report.snapshots[0]
    if dry_run:
        to_send = render.moving(report.copied, report.copied_bytes, "send", report.requests_to_send)
        invocation.terminal.note(render.planned(report.files, report.bytes, to_send))
    if as_json:
        write_outcome(of_sync(report, every=every), invocation, dry_run=dry_run)
    elif dry_run:
        _list_pruned(report.pruned_snapshots, invocation.terminal)
    else:
        for snapshot in report.snapshots:
            invocation.print(snapshot)
    invocation.terminal.note(_summary(report, names, delete=delete, dry_run=dry_run))


def _refuse_same(source: str, target: str) -> None:
    """
    Raises:
        SnapdirError: both are one store, however they are spelled.
    """
    same = source == target
    if not same:
        try:
            first, second = StoreURL.parse(source), StoreURL.parse(target)
        except InvalidStore:
            return  # the verb says which
        is_local = first.scheme == second.scheme == "file"
        same = os.path.realpath(first.path) == os.path.realpath(second.path) if is_local else first == second
    if same:
        raise SnapdirError(f"sync --from and --to must differ (both are {source})")


def _list_pruned(snapshots: Sequence[Digest], terminal: Terminal) -> None:
    for snapshot in snapshots[:MAX_LISTED]:
        terminal.note(f"would delete: {snapshot}")
    if len(snapshots) > MAX_LISTED:
        terminal.note(f"would delete: {len(snapshots) - MAX_LISTED:,} other snapshot(s)")


def _summary(report: snapdir.SyncReport, names: str, *, delete: bool, dry_run: bool) -> str:
    if dry_run:
        pruning = f" and prune {report.pruned} manifest(s)" if delete else ""
        only = "" if report.copied or not report.manifests else f", only {report.manifests:,} manifest(s)"
        return f"dry-run: would copy {report.copied} object(s){pruning} for {names}{only}"
    done = "mirrored" if delete else "synced"
    pruned = f", {report.pruned} manifest(s) pruned" if delete else ""
    return f"{done} {names}: {report.copied} copied, {report.skipped} skipped ({report.copied_bytes} bytes){pruned}"
