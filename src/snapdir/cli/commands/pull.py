"""snapdir fetch, checkout and pull: a snapshot into the cache, into a directory, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import snapdir
from snapdir.cli import options, render, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.outcome import of_pull, write_outcome
from snapdir.cli.parameters import Flag, Single, from_variable, section, switch
from snapdir.cli.settings import PULL_CACHE, WRITING
from snapdir.cli.terminal import printable, write_output
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.errors import DestinationConflict, ManifestNotFound, SnapdirError, UnknownId, local_errors

MAX_NAMED = 3


def _shard(value: str, source: str) -> str:
    from snapdir.model.sharding import Shard

    return str(Shard.parse(value, source))


def _selection() -> list[Flag]:
    """Which files of a snapshot."""
    return section(
        "Selection",
        Flag(
            "--include",
            metavar="<GLOB>",
            multiple=True,
            help="Only matching files; repeatable. Globs as in a .gitignore: *.bin matches at any level, /train/*.bin "
            "and train/** match from the root, val/ matches a directory and everything in it.",
        ),
        Flag(
            "--exclude",
            metavar="<GLOB>",
            multiple=True,
            help="Leave out matching files, even if --include matches them; repeatable. --delete gives it another "
            "meaning.",
        ),
        Single(
            "--shard",
            metavar="<I/N>",
            parse=_shard,
            help="Only part I of N of the selected files. Parts are about equal in bytes, and the same on every "
            "machine.",
        ),
    )


def _destination() -> list[Flag]:
    """How a snapshot is written over an existing directory."""
    return section(
        "Destination",
        Flag(
            "--delete",
            help="Afterwards delete files that are not in the snapshot. With --delete, --exclude PATTERN protects "
            "matching paths: an RE2 regular expression, such as \\.log$, matched against paths such as ./a/b and ./a/. "
            "Refused for /, home directories, caches, stores, and the directories above them.",
        ),
        Flag(
            "--linked",
            help="Link to the objects of the local cache instead of copying them. Every object is hashed first and "
            "made read-only.",
        ),
        Flag("--force", help="Write into the current directory even if it is not empty."),
        Flag("--no-overwrite", "overwrite", inverted=True, help="Fail before writing if a file would be replaced."),
        Flag("--strict", help="Exit with 1 if paths remain that are not in the snapshot."),
        Flag("--keep", help="Keep the temporary files of a failed run."),
        Flag("--preserve-special-modes", help="Restore setuid, setgid and sticky bits; by default they are left off."),
    )


@command(
    *options.store(),
    *options.pool(),
    *options.snapshot("Snapshot to fetch"),
    *options.chosen_by_label(),
    *_selection(),
    *settings.cache(),
    *settings.transfer(),
    *options.dry_run(),
    *options.outcome(),
    *options.accepted("--catalog", "--force", "--keep"),
    variables=WRITING,
    examples=[
        "snapdir fetch --store s3://bucket/sets --id $ID",
        "snapdir fetch --store s3://bucket/sets --id $ID && snapdir checkout --id $ID ./data",
    ],
)
def fetch(
    invocation: Invocation,
    /,
    *,
    store: str | None,
    snapshot_id: str | None,
    labels: Mapping[str, str],
    as_json: bool,
    **given: Any,
) -> None:
    """Download a snapshot into the local cache.

    Only missing objects are downloaded, and each is verified. If the cache has all objects, no store is needed; cached
    objects are compared by length, and `snapdir verify-cache` hashes them. --include, --exclude and --shard fetch a
    part of the snapshot; the same options then check that part out.
    """
    snapshot_id = options.chosen(invocation, snapshot_id, labels, store)
    store = _source(store, snapshot_id)
    report = invocation.transfer(snapdir.fetch, options.required_id(snapshot_id), store, **given)
    if given["dry_run"]:
        _print_planned(invocation, report, render.to_fetch(report))
    _print_selection(invocation, report.id)
    _print_fetched(invocation, report.id, dry_run=given["dry_run"])
    if as_json:
        write_outcome(of_pull(report, checked_out=False), invocation, dry_run=given["dry_run"])


@command(
    options.path("DIR", "Where to write; default: the current directory, if it is empty."),
    *options.snapshot("Snapshot to check out"),
    *_selection(),
    *_destination(),
    *settings.cache(),
    *settings.local(),
    *options.dry_run(),
    *options.outcome(),
    *options.hidden(options.store(), options.pool(), settings.network()),
    *options.accepted("--catalog"),
    variables=WRITING,
    examples=["snapdir checkout --id $ID ./data", "snapdir checkout --id $ID --include '*.json' ./data"],
)
def checkout(
    invocation: Invocation,
    /,
    *,
    path: str | None,
    snapshot_id: str | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a snapshot of the local cache into a directory.

    Files that differ are replaced. Files that are not in the snapshot stay, and a warning names them. No store is
    needed. With --include, --exclude or --shard the cache needs only the selected files.
    """
    snapshot_id = options.id_beside_directory(snapshot_id, path)
    target = _target(path, force=force)
    try:
        report = invocation.transfer(snapdir.checkout, snapshot_id, target, **_protecting(given))
    except UnknownId:
        raise
    except ManifestNotFound as error:
        raise SnapdirError(
            f"manifest {error.snapshot_id} not found locally; did you forget to fetch it?"
            " `snapdir pull --id ID DIR` downloads and writes in one step"
        ) from error
    if given["dry_run"]:
        _print_planned(invocation, report, *render.to_write(report))
    _print_selection(invocation, report.id)
    _print_checked_out(invocation, report, target, given, as_json=as_json)


@command(
    options.path(use="Where to write; default: the current directory, if it is empty."),
    *options.store(),
    *options.pool(),
    *options.snapshot("Snapshot to pull"),
    *options.chosen_by_label(),
    *_selection(),
    *_destination(),
    *settings.cache(),
    *section(
        "Cache",
        Flag(
            "--cache",
            "cache",
            variable=PULL_CACHE,
            help="Keep a copy in the cache in any case; by default only where the filesystem shares it with PATH (a "
            "reflink), so that it takes no space.",
        ),
        Flag("--no-cache", "no_cache", help="Add nothing to the cache; objects that it has are used all the same."),
    ),
    *settings.transfer(),
    *options.dry_run(),
    *options.outcome(),
    *options.accepted("--catalog"),
    variables=WRITING,
    examples=[
        "snapdir pull --store s3://bucket/sets --id $ID ./data",
        "snapdir pull --store s3://bucket/sets --label stage=clean ./data",
        "snapdir pull --store s3://bucket/sets --id $ID --cache ./data",
        "snapdir pull --store s3://bucket/sets --id $ID --include 'train/' --shard 3/8 ./data",
        "snapdir pull --store s3://bucket/sets --id latest --delete --exclude '\\.log$' ./data",
    ],
)
def pull(
    invocation: Invocation,
    /,
    *,
    path: str | None,
    store: str | None,
    snapshot_id: str | None,
    labels: Mapping[str, str],
    force: bool,
    cache: bool,
    no_cache: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Download a snapshot and write it into a directory.

    Bytes are written once, straight to PATH, and verified on the way. Objects in the local cache are not downloaded
    again, and a cached snapshot needs no store. Damaged objects of the cache are downloaded, with a warning. Files that
    differ are replaced. Files that are not in the snapshot stay, and a warning names them. --include, --exclude and
    --shard select a part of the snapshot, which `snapdir status PATH` then compares.
    """
    snapshot_id = options.chosen(invocation, snapshot_id, labels, store)
    if path is None:
        store = _source(store, snapshot_id)
    snapshot_id = options.id_beside_directory(snapshot_id, path, has_store=store is not None)
    target = _target(path, force=force)
    kept = _kept(cache=cache, no_cache=no_cache)
    report = invocation.transfer(snapdir.pull, snapshot_id, store, target, cache=kept, **_protecting(given))
    if given["dry_run"]:
        _print_planned(invocation, report, *render.to_write(report), render.to_fetch(report))
    if kept or given["linked"]:
        _print_fetched(invocation, report.id, dry_run=given["dry_run"])
    _print_selection(invocation, report.id)
    _print_checked_out(invocation, report, target, given, as_json=as_json)


def _kept(*, cache: bool, no_cache: bool) -> bool | None:
    """Whether to keep a copy in the cache; None if only where that is free.

    Raises:
        UsageMistake: both options are given.
    """
    if cache and no_cache:
        raise UsageMistake("the argument '--cache' cannot be used with '--no-cache'")
    given = True if cache else False if no_cache else None
    return from_variable(PULL_CACHE, switch) if given is None else given


def _source(store: str | None, snapshot_id: str | None) -> str | None:
    """The store; None with an id, because a complete cache needs no store.

    Raises:
        SnapdirError: neither a store nor an id is given.
    """
    return store if snapshot_id is not None else options.required_store(store)


def _target(path: str | None, *, force: bool) -> str:
    """Where to write: ``path``, else the current directory if it is empty or ``force`` is given.

    Raises:
        DestinationConflict: the current directory is not empty, and ``force`` is not given.
    """
    if path is not None:
        return path
    from snapdir.model.paths import STAGING_NAME

    with local_errors("."):
        taken = sorted(name for name in os.listdir(".") if name != STAGING_NAME)
    if taken and not force:
        raise DestinationConflict(
            os.getcwd(),
            "the current directory is not empty; name a directory or pass --force; it holds",
            paths=taken[:3],
        )
    return "."


def _protecting(given: dict[str, Any]) -> dict[str, Any]:
    """The options; with ``--delete``, ``--exclude`` becomes the patterns of paths to protect."""
    if not given["delete"]:
        return given
    return given | {"exclude": (), "protect": options.patterns(given["exclude"])}


def _print_selection(invocation: Invocation, snapshot_id: str) -> None:
    """Print a note if only a part of the snapshot was selected."""
    counters = invocation.counters
    if counters.files_known:
        invocation.terminal.note(
            f"partial: {counters.files_selected:,} of the {counters.files_known:,} file(s) of {snapshot_id}"
        )


def _print_planned(invocation: Invocation, report: snapdir.PullReport, *parts: str) -> None:
    """The counts of a dry run."""
    invocation.terminal.note(render.planned(report.files, report.bytes, *parts))


def _print_fetched(invocation: Invocation, snapshot_id: str, *, dry_run: bool) -> None:
    """Whether the cache was complete already, in the words of ``--verbose`` or of a dry run."""
    complete = invocation.counters.already_complete
    if not dry_run:
        invocation.terminal.detail(f"{'CACHED' if complete else 'SAVED'}: {snapshot_id}")
    elif not complete:
        invocation.terminal.note(render.dry_run(f"fetch {snapshot_id} into the local cache"))


def _print_checked_out(
    invocation: Invocation, report: snapdir.PullReport, target: str, given: Mapping[str, Any], *, as_json: bool
) -> None:
    """Count the files that were replaced and removed; a dry run lists them. With ``as_json``, all of it."""
    note, dry_run = invocation.terminal.note, given["dry_run"]
    if dry_run:
        _print_rehearsed(invocation, report.id, target, delete=given["delete"] and not as_json)
    if as_json:
        write_outcome(of_pull(report), invocation, dry_run=dry_run)
    if dry_run:
        return
    if report.replaced:
        named = _named(invocation.counters.replaced)
        note(f"replaced {report.replaced:,} file(s) that differed in {target}{named}")
    if report.pruned:
        named = _named(report.pruned)
        note(f"removed {len(report.pruned):,} path(s) that are not in the snapshot from {target}{named}")


def _named(paths: Sequence[str]) -> str:
    """The first few paths in parentheses, as in the warning about paths that are left."""
    more = ", …" if len(paths) > MAX_NAMED else ""
    return f" ({', '.join(paths[:MAX_NAMED])}{more})" if paths else ""


def _print_rehearsed(invocation: Invocation, snapshot_id: str, target: str, *, delete: bool) -> None:
    """Every path that would be replaced or removed; on stdout only those that --delete removes, in their order."""
    counters, note = invocation.counters, invocation.terminal.note
    note(render.dry_run(f"check out {snapshot_id} to {target}"))
    for path in counters.replaced:
        note(f"would replace: {path}")
    if delete:
        write_output("".join(f"would delete: {printable(path)}\n" for path in counters.pruned))
    else:
        for path in counters.pruned:
            note(f"would delete: {path}")
