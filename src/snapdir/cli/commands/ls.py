"""snapdir ls: the snapshots of a store, or the paths of a snapshot."""

from __future__ import annotations

import time
from functools import partial

import click

import snapdir
from snapdir.cli import options
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Positional
from snapdir.cli.tables import Cell, ShortId, Size, entry_fields, write_json_lines, write_rows
from snapdir.cli.targets import required_store
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import Verb
from snapdir.errors import PathNotFound

SNAPSHOT_COLUMNS = ("stored_at", "id", "files", "logical_bytes", "objects", "physical_bytes")
ENTRY_COLUMNS = ("type", "mode", "size", "checksum", "path")


@click.command(
    "ls",
    cls=Verb,
    params=[
        Positional(
            "ref",
            required=False,
            metavar="[REF]",
            use="A store, STORE@ID, a directory or an id; default: --store.",
        ),
        Positional("path", required=False, metavar="[PATH]", use="A directory in the snapshot; default: its root."),
        Flag("-R", "--recursive", is_flag=True, section="Output", help="List everything below, not only one level."),
        *options.output(),
        *options.store(),
        *options.snapshot("Instead of REF: a snapshot of --store or the cache"),
        *options.cache(),
        *options.engine(),
        *options.rates(),
        *options.retries(),
        *options.bucket(),
    ],
    examples=["snapdir ls s3://bucket/sets", "snapdir ls -R s3://bucket/sets@$ID train/"],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    ref: str | None,
    path: str | None,
    recursive: bool,
    store: str | None,
    snapshot_id: str | None,
    as_json: bool,
) -> None:
    """List the snapshots of a store, or what is in a snapshot.

    Of a store its snapshots are listed, the oldest first, with the date (UTC) they were stored at; of a snapshot what
    lies in PATH.
    """
    from snapdir.api.resolve import parse_ref

    if snapshot_id is not None and path is not None:
        raise UsageMistake("the argument '--id <ID>' takes the place of REF", click.get_current_context())
    if snapshot_id is not None:
        ref, path = str(invocation.full_id(snapshot_id, store=store)), ref
    wanted = ref or required_store(store)
    if not parse_ref(wanted).is_whole_store:
        _list_paths(invocation, wanted, path, recursive=recursive, store=store, as_json=as_json)
    elif path is not None or recursive:
        raise UsageMistake(f"{wanted} is a store: name a snapshot of it, {wanted}@ID", click.get_current_context())
    else:
        _list_snapshots(invocation, wanted, as_json=as_json)


def _list_snapshots(invocation: Invocation, store: str, *, as_json: bool) -> None:
    found = invocation.run(
        partial(snapdir.list_snapshots, store, config=invocation.config), store=store if "://" in store else None
    )
    rows = map(_snapshot_row, found)
    if as_json:
        write_json_lines(dict(zip(SNAPSHOT_COLUMNS, row, strict=True)) for row in rows)
    else:
        write_rows(SNAPSHOT_COLUMNS, rows, terminal=invocation.terminal)
    if not found:
        invocation.terminal.note(f"no snapshots in {store}: check its URL; a push stores the first")


def _snapshot_row(one: snapdir.SnapshotSummary) -> tuple[Cell, ...]:
    size = one.size
    return (
        _date(one.stored_seconds),
        ShortId(one.id),
        size.files,
        Size(size.logical_bytes),
        size.objects,
        Size(size.physical_bytes),
    )


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _list_paths(
    invocation: Invocation, ref: str, path: str | None, *, recursive: bool, store: str | None, as_json: bool
) -> None:
    manifest = invocation.run(
        partial(snapdir.manifest_of, ref, store=store, config=invocation.config, counters=invocation.counters),
        store=ref if "://" in ref else store,
    )
    folder = _folder(path or "")
    if not any(entry.path in (folder, folder[:-1]) for entry in manifest.entries):
        raise PathNotFound(path or "./", ref)
    found = [entry for entry in manifest.entries if _is_listed(entry.path, folder, recursive=recursive)]
    if as_json:
        write_json_lines(map(entry_fields, found))
    else:
        write_rows(ENTRY_COLUMNS, map(_entry_row, found), terminal=invocation.terminal)


def _entry_row(entry: snapdir.ManifestEntry) -> tuple[Cell, ...]:
    return entry.kind, entry.mode, Size(entry.size), ShortId(entry.checksum), entry.path


def _folder(path: str) -> str:
    """The manifest's name for the directory that is typed as ``path``."""
    name = path.removeprefix("./").strip("/")
    return f"./{name}/" if name not in ("", ".") else "./"


def _is_listed(path: str, folder: str, *, recursive: bool) -> bool:
    """Whether a path lies in a directory, or is the file that has the directory's name."""
    if path == folder[:-1]:
        return True
    rest = path[len(folder) :] if path.startswith(folder) else ""
    return bool(rest) and (recursive or "/" not in rest[:-1])
