"""snapdir ls: the snapshots of a store, or the paths of a snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import snapdir
from snapdir.api.resolve import Ref, parse_ref
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Positional
from snapdir.cli.tables import Cell, Moment, Prose, ShortId, Size, entry_fields, write_json_lines, write_rows
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.errors import PathNotFound
from snapdir.model.similar_paths import similar_paths
from snapdir.model.tags import LATEST

COUNTS = ("files", "logical_bytes", "objects", "physical_bytes")
SNAPSHOT_COLUMNS = ("stored_at", "id", *COUNTS, "names", "note", "labels", "pushed_at")
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
    *options.chosen_by_label(),
    *settings.catalog(purpose="The history to read"),
    *settings.cache(),
    *settings.reading(),
    moves_data=False,
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
    labels: Mapping[str, str],
    as_json: bool,
) -> None:
    """List the snapshots of a store, or the paths of a snapshot.

    The snapshots of a store are listed by the date (UTC) of their newest push, newest first, as in `snapdir log`; one
    without a recorded push has its place by the date of its manifest. Names, notes and labels are shown. Of a bucket or
    prefix without snapshots, the stores below it are listed.
    """
    named = parse_ref(ref) if labels and ref is not None and snapshot_id is None else None
    if named is not None and named.store is not None and named.snapshot_id in (None, LATEST):
        newest = options.chosen(invocation, None, labels, str(named.store))
        listed = Ref(named.typed, store=named.store, snapshot_id=newest)
    elif (snapshot_id := options.chosen(invocation, snapshot_id, labels, store)) is not None:
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
    async def look(**how: Any) -> tuple[Sequence[snapdir.SnapshotSummary], Sequence[str]]:
        snapshots = await snapdir.ls(store, **how)
        return snapshots, () if snapshots else await snapdir.find_stores(store, **how)

    found, below = invocation.run(look)
    if below:
        _list_stores(invocation, store, below, as_json=as_json)
        return
    if as_json:
        write_json_lines(map(_snapshot_fields, found))
    else:
        write_rows(SNAPSHOT_COLUMNS, map(_snapshot_row, found), terminal=invocation.terminal, shown=_shown)
    if not found:
        invocation.terminal.note(f"no snapshots in {store}: check the URL; `snapdir push` stores the first")


def _list_stores(invocation: Invocation, place: str, stores: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        write_json_lines({"store": store} for store in stores)
    else:
        write_rows(("store",), [(store,) for store in stores], terminal=invocation.terminal)
    invocation.terminal.note(f"no snapshots directly in {place}; stores below it: {len(stores):,}")


def _snapshot_row(summary: snapdir.SnapshotSummary) -> tuple[Cell, ...]:
    size = summary.size
    return (
        _moment(summary.stored_seconds),
        ShortId(summary.id),
        size.files,
        Size(size.logical_bytes),
        size.objects,
        Size(size.physical_bytes),
        ", ".join(summary.names) or None,
        summary.note,
        ", ".join(f"{key}={value}" for key, value in summary.labels) or None,
        summary.pushed_at,
    )


def _snapshot_fields(summary: snapdir.SnapshotSummary) -> dict[str, object]:
    fields: dict[str, object] = dict(zip(SNAPSHOT_COLUMNS, _snapshot_row(summary), strict=True))
    return fields | {"names": summary.names, "note": summary.note, "labels": dict(summary.labels)}


def _shown(row: Mapping[str, Any]) -> Mapping[str, Cell]:
    pushed = row["pushed_at"]
    return {
        "date (UTC)": Moment(pushed[:19]) if pushed else row["stored_at"],
        "id": row["id"],
        "files": row["files"],
        "size": row["logical_bytes"],
        "names": Prose(row["names"] or ""),
        "note": Prose("; ".join(filter(None, (row["note"], row["labels"])))),
    }


def _moment(seconds: float | None) -> Moment | None:
    return None if seconds is None else Moment(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)))


def _list_paths(
    invocation: Invocation, ref: Ref, path: str | None, *, recursive: bool, store: str | None, as_json: bool
) -> None:
    manifest = invocation.run(snapdir.manifest_of, ref, store=store)
    folder = _folder(path or "")
    found: Iterator[snapdir.ManifestEntry] = (
        entry for entry in manifest if _is_listed(entry.path, folder, recursive=recursive)
    )
    first = next(found, None)
    if first is not None:
        found = chain([first], found)
    elif not any(entry.path == folder for entry in manifest):  # an empty directory
        known = (entry.path.rstrip("/") for entry in manifest)
        raise PathNotFound(path or "./", ref.typed, similar=similar_paths(folder.rstrip("/"), known))
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
