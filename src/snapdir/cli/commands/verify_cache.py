"""snapdir verify-cache: whether the local cache holds exactly the bytes it should."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

import snapdir
from snapdir.cli import options, render
from snapdir.cli.configuration import FSYNC
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag
from snapdir.cli.tables import write_json
from snapdir.cli.terminal import Terminal, print_error
from snapdir.cli.verb import Verb
from snapdir.errors import ManifestNotFound, SnapdirError, StoreMissing

if TYPE_CHECKING:
    from snapdir.model.digest import Digest


@click.command(
    "verify-cache",
    cls=Verb,
    params=[
        *options.snapshot("Look for the objects of this snapshot only"),
        *options.cache(),
        Flag("--purge", is_flag=True, help="Remove damaged objects and manifests, so that a fetch brings them back."),
        *options.dry_run(),
        *options.output(),
        *options.accepted("--store", "--force"),
    ],
    variables=[FSYNC],
    examples=[
        "snapdir verify-cache",
        "snapdir verify-cache --purge && snapdir fetch --store s3://bucket/sets --id $ID",
    ],
)
@click.pass_obj
def command(invocation: Invocation, *, snapshot_id: str | None, purge: bool, dryrun: bool, as_json: bool) -> None:
    """Hash every object and manifest of the local cache and look for missing objects.

    Says nothing when all is well; otherwise one line per object, and exit code 1. With --purge the exit code is 0 if
    everything that was wrong has been removed; an object that was missing before still makes it 1.
    """
    wanted = None if snapshot_id is None else invocation.full_id(snapshot_id)
    if purge and dryrun:
        print_error(render.dry_run("purge corrupt objects from the cache"))
    report = _checked(invocation, wanted, purge=purge, dry_run=dryrun)
    if as_json:
        write_json(_fields(report))
    else:
        _tell(report, invocation.terminal)
    _conclude(report, invocation.terminal)


def _checked(invocation: Invocation, wanted: Digest | None, *, purge: bool, dry_run: bool) -> snapdir.CacheReport:
    config = invocation.config
    check = partial(
        snapdir.verify_cache, wanted, purge=purge, dry_run=dry_run, config=config, counters=invocation.counters
    )
    try:
        return invocation.run(partial(check, counters=invocation.counters))
    except (ManifestNotFound, StoreMissing) as error:
        if wanted is None and isinstance(error, StoreMissing):
            return snapdir.CacheReport((), (), ())  # a cache that was never filled has nothing wrong
        raise SnapdirError(f"reading cached manifest {wanted}: not found in the cache at {config.cache_dir}") from error


def _fields(report: snapdir.CacheReport) -> dict[str, object]:
    return {
        "ok": report.is_sound,
        "corrupt": report.corrupt,
        "missing": [{"object": digest, "path": path} for digest, path in report.missing],
        "purged": report.purged,
        "manifests": report.manifests,
        "needed": [{"object": digest, "path": path, "snapshot": snapshot} for digest, path, snapshot in report.needed],
    }


def _tell(report: snapdir.CacheReport, terminal: Terminal) -> None:
    purged = set(report.purged)
    for digest in report.corrupt:
        print_error(f"Checksum mismatch for {digest}")
        if digest in purged:
            terminal.detail(f"purged {digest}")
    for identifier in report.manifests:
        print_error(f"Damaged manifest {identifier}")
        if identifier in purged:
            terminal.detail(f"purged {identifier}")
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
            f"snapdir: {len(report.corrupt)} corrupt + {len(report.missing)} missing object(s){manifests} in the cache"
        )
    if report.purged:
        terminal.note(
            f"snapdir: purged {len(report.corrupt)} corrupt object(s){manifests}; everything else in the cache is sound"
        )
