"""snapdir verify, verify-cache and flush-cache: check a store, check the cache, empty the cache."""

from __future__ import annotations

from collections.abc import Mapping

import snapdir
from snapdir.cli import options, render, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single
from snapdir.cli.settings import FSYNC
from snapdir.cli.tables import write_json
from snapdir.cli.terminal import Terminal, print_error
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.errors import ManifestNotFound, SnapdirError, StoreMissing, UnknownId
from snapdir.model.tags import is_name

NO_PURGE = (
    "`verify` does not support --purge; use `verify-cache --purge` for the local cache, "
    "or `verify --repair-from DIR` for a store"
)


@command(
    *options.store(),
    *options.pool(),
    Single(
        "--repair-from",
        metavar="<DIR>",
        section="Store",
        help="Restore missing and damaged objects from files in this directory that have the same content.",
    ),
    *options.snapshot("Snapshot to verify"),
    *options.chosen_by_label(),
    *settings.transfer(writing=True),
    *options.output(),
    Flag("--purge", hidden=True),
    Flag("--dry-run", "--dryrun", "dry_run", hidden=True),
    *options.accepted("--force", "--cache-dir"),
    variables=[FSYNC],
    examples=[
        "snapdir verify --store s3://bucket/sets --id $ID",
        "snapdir verify --store s3://bucket/sets --id $ID --repair-from ./data",
    ],
)
def verify(
    invocation: Invocation,
    /,
    *,
    store: str | None,
    objects_store: str | None,
    repair_from: str | None,
    snapshot_id: str | None,
    labels: Mapping[str, str],
    purge: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read a snapshot back from its store and check every byte.

    Prints nothing if the snapshot is sound, except a summary on a terminal. Nothing is written without --repair-from.
    """
    if purge:
        raise SnapdirError(NO_PURGE)
    clashing = [flag for flag, given in {"--dryrun": dry_run, "--json": as_json}.items() if given]
    if clashing and repair_from is not None:
        raise UsageMistake(f"the argument '{clashing[0]}' cannot be used with '--repair-from <DIR>'")
    url = options.required_store(store)
    snapshot = (options.required_id(options.chosen(invocation, snapshot_id, labels, url)), url)
    if as_json:
        _examine(invocation, *snapshot, objects_store=objects_store)
    elif repair_from is not None:
        invocation.run(snapdir.verify, *snapshot, objects_store=objects_store, repair_from=repair_from)
    else:
        invocation.run(snapdir.verify, *snapshot, objects_store=objects_store, figures=render.verified)


def _examine(invocation: Invocation, snapshot_id: str, store: str, *, objects_store: str | None) -> None:
    report = invocation.run(snapdir.examine, snapshot_id, store, objects_store=objects_store)
    write_json(
        {
            "ok": not report.damage,
            "id": report.id,
            "store": report.store,
            "objects": report.object_count,
            "bytes": report.sound_bytes,
            "corrupt": [{"object": damage.digest, "path": damage.path} for damage in report.corrupt],
            "missing": [{"object": damage.digest, "path": damage.path} for damage in report.missing],
        }
    )
    report.require_sound()


@command(
    *options.snapshot("Check the objects of this snapshot only"),
    *options.hidden(options.store()),
    *settings.cache(),
    Flag("--purge", help="Remove damaged objects and manifests, so that a fetch restores them."),
    *options.dry_run(),
    *options.output(),
    *options.accepted("--force"),
    variables=[FSYNC],
    examples=[
        "snapdir verify-cache",
        "snapdir verify-cache --purge && snapdir fetch --store s3://bucket/sets --id $ID",
    ],
)
def verify_cache(
    invocation: Invocation,
    /,
    *,
    snapshot_id: str | None,
    store: str | None,
    purge: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Hash every object and manifest of the local cache and look for missing objects.

    Prints nothing if the cache is sound; otherwise prints one line per object and exits with 1. With --purge it exits
    with 0 if all damage was removed, and with 1 if objects were missing before.
    """
    if purge and dry_run:
        print_error(render.dry_run("purge corrupt objects from the cache"))
    report = _checked(invocation, snapshot_id, store=store, purge=purge, dry_run=dry_run)
    if as_json:
        write_json(_fields(report))
    else:
        _print_damage(report, invocation.terminal)
    _conclude(report, invocation.terminal)


def _checked(
    invocation: Invocation, snapshot_id: str | None, *, store: str | None, purge: bool, dry_run: bool
) -> snapdir.CacheReport:
    if snapshot_id is not None and is_name(snapshot_id):
        snapshot_id = invocation.run(snapdir.resolve_id, snapshot_id, store, preparing=True)
    try:
        return invocation.run(snapdir.verify_cache, snapshot_id, purge=purge, dry_run=dry_run)
    except UnknownId:
        raise
    except (ManifestNotFound, StoreMissing) as error:
        if snapshot_id is None and isinstance(error, StoreMissing):
            return snapdir.CacheReport((), (), ())  # a cache that was never filled is sound
        wanted = error.snapshot_id if isinstance(error, ManifestNotFound) else snapshot_id
        cache_dir = invocation.config.cache_dir
        raise SnapdirError(f"reading cached manifest {wanted}: not found in the cache at {cache_dir}") from error


def _fields(report: snapdir.CacheReport) -> dict[str, object]:
    return {
        "ok": report.is_sound,
        "corrupt": report.corrupt,
        "missing": [{"object": digest, "path": path} for digest, path in report.missing],
        "purged": report.purged,
        "manifests": report.manifests,
        "needed": [{"object": digest, "path": path, "snapshot": snapshot} for digest, path, snapshot in report.needed],
    }


def _print_damage(report: snapdir.CacheReport, terminal: Terminal) -> None:
    purged = set(report.purged)
    for digest in report.corrupt:
        print_error(f"Checksum mismatch for {digest}")
        if digest in purged:
            terminal.detail(f"purged {digest}")
    for snapshot in report.manifests:
        print_error(f"Damaged manifest {snapshot}")
        if snapshot in purged:
            terminal.detail(f"purged {snapshot}")
    for digest, path in report.missing:
        print_error(f"Missing object {digest} for {path}")
    for digest, path, snapshot in report.needed:
        terminal.note(
            f"removed object {digest} for {path} of snapshot {snapshot}: `snapdir fetch --id {snapshot}` brings it back"
        )
    for snapshot in report.manifests:
        if snapshot in purged:
            terminal.note(f"removed manifest {snapshot}: `snapdir fetch --id {snapshot}` brings it back")


def _conclude(report: snapdir.CacheReport, terminal: Terminal) -> None:
    manifests = f" + {len(report.manifests)} damaged manifest(s)" if report.manifests else ""
    if not report.is_sound:
        raise SnapdirError(
            f"{len(report.corrupt)} corrupt + {len(report.missing)} missing object(s){manifests} in the cache"
        )
    if report.purged:
        terminal.note(
            f"snapdir: purged {len(report.corrupt)} corrupt object(s){manifests}; everything else in the cache is sound"
        )


@command(
    *settings.cache(),
    *options.dry_run(),
    *options.accepted("--store", "--purge", "--force"),
    moves_data=False,
    examples=["snapdir flush-cache", "snapdir flush-cache --dryrun --cache-dir /scratch/cache"],
)
def flush_cache(invocation: Invocation, /, *, dry_run: bool) -> None:
    """Remove all snapshots and objects from the local cache.

    Stores and checked-out directories are unchanged, but links made with --linked are broken until the snapshot is
    pulled again. A directory that does not look like a cache is refused.
    """
    invocation.run(snapdir.flush_cache, dry_run=dry_run, counted=False)
    if dry_run:
        print_error(render.dry_run(f"flush the cache at {invocation.config.cache_dir}"))
