"""snapdir ls: the snapshots of a store, or the paths of a snapshot."""

from __future__ import annotations

import time

import snapdir
from snapdir.api.resolve import Ref, parse_ref
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Positional
from snapdir.cli.tables import Cell, ShortId, Size, entry_fields, write_json_lines, write_rows
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.errors import PathNotFound
from snapdir.model.similar_paths import similar_paths

SNAPSHOT_COLUMNS = ("stored_at", "id", "files", "logical_bytes", "objects", "physical_bytes")
ENTRY_COLUMNS = ("type", "mode", "size", "checksum", "path")


@command(
    Positional(
        "ref",
        required=False,
        metavar="[REF]",
        use="A store, STORE@ID, a directory or an id; default: --store.",
    ),
    Positional("path", required=False, metavar="[PATH]", use="A directory in the snapshot; default: its root."),
    Flag("-R", "--recursive", section="Output", help="List everything below, not only one level."),
    *options.output(),
    *options.store(),
    *options.snapshot("Instead of REF, a snapshot of --store or the cache"),
    *settings.cache(),
    *settings.transfer(),
    examples=["snapdir ls s3://bucket/sets", "snapdir ls -R s3://bucket/sets@$ID train/"],
)
def ls(
    invocation: Invocation,
    /,
    *,
    ref: str | None,
    path: str | None,
    recursive: bool,
    store: str | None,
    snapshot_id: str | None,
    as_json: bool,
) -> None:
    """List the snapshots of a store, or the paths of a snapshot.

    The snapshots of a store are listed oldest first, with the date (UTC) at which they were stored.
    """
    if snapshot_id is not None:
        if path is not None:
            raise UsageMistake("the argument '--id <ID>' replaces REF")
        listed, path = Ref(snapshot_id, snapshot_id=snapshot_id), ref
    else:
        listed = parse_ref(ref or options.required_store_ref(store))
    if not listed.is_whole_store:
        _list_paths(invocation, listed, path, recursive=recursive, store=store, as_json=as_json)
    elif path is not None or recursive:
        raise UsageMistake(f"{listed.typed} is a store: name a snapshot of it, {listed.typed}@ID")
    else:
        _list_snapshots(invocation, listed.typed, as_json=as_json)


def _list_snapshots(invocation: Invocation, store: str, *, as_json: bool) -> None:
    found = invocation.run(snapdir.list_snapshots, store, counted=False)
    rows = map(_snapshot_row, found)
    if as_json:
        write_json_lines(dict(zip(SNAPSHOT_COLUMNS, row, strict=True)) for row in rows)
    else:
        write_rows(SNAPSHOT_COLUMNS, rows, terminal=invocation.terminal)
    if not found:
        invocation.terminal.note(f"no snapshots in {store}: check the URL; `snapdir push` stores the first")


def _snapshot_row(summary: snapdir.SnapshotSummary) -> tuple[Cell, ...]:
    size = summary.size
    return (
        _date(summary.stored_seconds),
        ShortId(summary.id),
        size.files,
        Size(size.logical_bytes),
        size.objects,
        Size(size.physical_bytes),
    )


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _list_paths(
    invocation: Invocation, ref: Ref, path: str | None, *, recursive: bool, store: str | None, as_json: bool
) -> None:
    manifest = invocation.run(snapdir.manifest_of, ref, store=store)
    folder = _folder(path or "")
    if not any(entry.path in (folder, folder[:-1]) for entry in manifest.entries):
        known = [entry.path.rstrip("/") for entry in manifest.entries]
        raise PathNotFound(path or "./", ref.typed, similar=similar_paths(folder.rstrip("/"), known))
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
