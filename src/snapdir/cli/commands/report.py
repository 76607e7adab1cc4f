"""snapdir report: a store on one page. Also how every command writes a page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Positional, Single, section
from snapdir.cli.tables import write_json
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command


@command(
    Positional("place", required=False, metavar="[STORE]", use="A store; default: --store."),
    *options.store(),
    *section(
        "Output",
        Single(
            "--open-html",
            "html",
            metavar="<FILE>",
            help="Write the page, and open it if there is a display and a terminal.",
        ),
    ),
    *options.output(),
    *settings.catalog(purpose="The history to read"),
    *settings.cache(),
    *settings.reading(),
    moves_data=False,
    examples=[
        "snapdir report s3://bucket/sets --open-html report.html",
        "snapdir report s3://bucket/sets --json > report.json",
    ],
)
def report(invocation: Invocation, /, *, place: str | None, store: str | None, html: str | None, as_json: bool) -> None:
    """Write one page about a store: its snapshots, sizes, changes and lineage.

    The page needs no network and no other file. Its table of snapshots can be searched and sorted. Every manifest is
    read and verified; one that is damaged is named, and the exit code is 1.
    """
    if html is None and not as_json:
        raise UsageMistake("the following required argument was not provided: --open-html <FILE> or --json")
    found = invocation.run(snapdir.report, place or options.required_store_ref(store))
    if as_json:
        write_json(_fields(found))
    if html is not None:
        from snapdir.cli.pages.report import report_page

        write_page(invocation, report_page(found), html)
    if not found.snapshots:
        invocation.terminal.note(f"no snapshots in {found.store}: check the URL; `snapdir push` stores the first")
    found.require_sound()


def _fields(found: snapdir.StoreReport) -> dict[str, Any]:
    total = found.total
    return {
        "store": found.store,
        "created_at": found.created_at,
        "total": {
            "snapshots": len(found.snapshots),
            "files": total.files,
            "logical_bytes": total.logical_bytes,
            "objects": total.objects,
            "physical_bytes": total.physical_bytes,
        },
        "snapshots": [_snapshot_fields(each) for each in found.snapshots],
        "relations": [{"id": edge.later, "of": edge.earlier, "relation": edge.relation} for edge in found.relations],
        "damaged": [{"id": id_, "error": error.code, "message": str(error)} for id_, error in found.unreadable],
    }


def _snapshot_fields(snapshot: snapdir.ReportedSnapshot) -> dict[str, Any]:
    changes = snapshot.changes
    return {
        "created_at": snapshot.created_at,
        "id": snapshot.id,
        "files": snapshot.files,
        "size": snapshot.size_bytes,
        "new": snapshot.new_bytes,
        "note": snapshot.note,
        "labels": dict(snapshot.labels),
        "names": snapshot.names,
        "changes": changes
        and {
            "previous_id": changes.previous_id,
            "added": changes.added,
            "removed": changes.removed,
            "modified": changes.modified,
            "bytes_added": changes.bytes_added,
            "bytes_removed": changes.bytes_removed,
            "listed": [{"status": entry.status, "path": entry.path} for entry in changes.listed],
            "left_out": changes.left_out,
        },
    }


def write_page(invocation: Invocation, page: str, name: str) -> None:
    """Write a page, and open it in a browser if there is a display. An existing file is replaced when all is written.

    Raises:
        LocalError: the file cannot be written.
    """
    import anyio

    file = Path(os.path.expanduser(name)).absolute()
    anyio.run(_write, file, page.encode("utf-8", "backslashreplace"))
    invocation.terminal.note(f"wrote {name}")
    if _has_viewer(invocation):
        import webbrowser

        webbrowser.open(file.as_uri())


async def _write(file: Path, data: bytes) -> None:
    from snapdir.disk.async_files import replacing

    async with replacing(file, fsync=False) as opened:
        await opened.write(data)


def _has_viewer(invocation: Invocation) -> bool:
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and invocation.terminal.attended and sys.stdout is not None and sys.stdout.isatty()
