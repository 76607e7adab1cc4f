"""The page of ``report``. Pure.

What it embeds is bounded: snapshots, and the length of notes, labels and paths; the report bounds listed changes. The
page says what it leaves out, and ``report --json`` has every snapshot, and every text whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from snapdir.catalog.graph import Graph, Node
from snapdir.cli.pages.chart import Bar, chart
from snapdir.cli.pages.document import code, document, identifier, safe, shortened
from snapdir.cli.pages.lineage import drawing, tags
from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from snapdir.api.report import ReportedSnapshot, StoreReport
    from snapdir.transfer.comparing.diff import DiffEntry
    from snapdir.transfer.comparing.neighbours import SnapshotChanges

MAX_SNAPSHOTS = 1000
MAX_NOTE_CHARACTERS = 300
MAX_PATH_CHARACTERS = 200
MAX_LABELS = 12
MAX_LABEL_CHARACTERS = 100
MAX_STORE_CHARACTERS = 100
"""Of the URL of the store in the command that lists all changes of a snapshot."""

MAX_UNREADABLE = 20

COLUMNS = ("snapshot", "recorded (UTC)", "files", "size", "new", "changes")


def report_page(report: StoreReport) -> str:
    """All of a store on one page; the newest 1,000 snapshots one by one."""
    shown = report.snapshots[:MAX_SNAPSHOTS]
    body = [
        f"<header><h1>{safe(report.store)}</h1><p>{safe(report.created_at[:16])} UTC</p></header>",
        *_unreadable(report),
        *_facts(report),
        *(_charts(report.snapshots) if report.total.logical_bytes else ()),
        *_snapshots(report, shown),
        *_lineage(report, shown),
    ]
    return document(f"snapdir report of {report.store}", body, script="report.js" if shown else "")


def _unreadable(report: StoreReport) -> Iterator[str]:
    if not report.unreadable:
        return
    count, more = len(report.unreadable), len(report.unreadable) - MAX_UNREADABLE
    yield f'<div class="alarm"><p class="title">{count:,} damaged snapshot{"s" * (count > 1)}</p>'
    for snapshot_id, error in report.unreadable[:MAX_UNREADABLE]:
        yield f"<p>{code(snapshot_id)}: {safe(shortened(str(error), MAX_NOTE_CHARACTERS))}</p>"
    yield f"<p>and {more:,} more</p></div>" if more > 0 else "</div>"


def _facts(report: StoreReport) -> Iterator[str]:
    total = report.total
    facts = {
        "snapshots": f"{len(report.snapshots):,}",
        "files in all of them": f"{total.files:,}",
        "bytes in all of them": format_size(total.logical_bytes),
        "stored, each content once": format_size(total.physical_bytes),
        "shared": f"{1 - total.physical_bytes / total.logical_bytes:.0%}" if total.logical_bytes else "0%",
    }
    yield '<dl class="facts">'
    yield from (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    yield "</dl>"
    if not report.snapshots:
        yield "<p>No snapshots: <code>snapdir push</code> stores the first.</p>"


def _charts(snapshots: Sequence[ReportedSnapshot]) -> Iterator[str]:
    oldest_first = [each for each in reversed(snapshots) if each.size_bytes is not None]
    days = [each.created_at[:10] for each in oldest_first]
    sizes = [each.size_bytes or 0 for each in oldest_first]
    new = [each.new_bytes or 0 for each in oldest_first]
    yield '<div class="charts">'
    bars = [Bar(*each) for each in zip(sizes, new, days, strict=True)]
    yield from chart("Size of each snapshot", ("new", "shared with earlier ones"), bars)
    bars = [Bar(*each) for each in zip(accumulate(new), new, days, strict=True)]
    yield from chart("Stored, each content once", ("new", "stored before"), bars)
    yield "</div>"


def _snapshots(report: StoreReport, shown: Sequence[ReportedSnapshot]) -> Iterator[str]:
    if not shown:
        return
    yield '<h2>Snapshots</h2><div class="tools">'
    yield '<input id="search" type="search" placeholder="Search notes, labels, names, ids, dates" aria-label="Search">'
    yield '<small id="shown"></small></div>'
    if more := len(report.snapshots) - len(shown):
        yield f"<p>The newest {len(shown):,} are listed, and drawn below; {more:,} older ones are left out.</p>"
    yield '<table id="snapshots"><thead><tr>' + "".join(map(_header, COLUMNS)) + "</tr></thead><tbody>"
    for snapshot in shown:
        yield _row(snapshot, report.store, linked=bool(report.relations))
    yield "</tbody></table>"
    yield "<p><small>New bytes are in no earlier snapshot. Changes are those since the snapshot before: + added, −"
    yield "removed, ~ modified files. Long notes, labels and paths are shortened:"
    yield "<code>snapdir report --json</code> has them whole.</small></p>"


def _header(name: str) -> str:
    attributes = ' class="number"' if name in ("files", "size", "new") else ""
    attributes += ' data-text=""' if name in COLUMNS[:2] else ""
    attributes += ' aria-sort="descending"' if name == COLUMNS[1] else ""
    return f"<th{attributes}><button>{name}</button></th>"


def _row(snapshot: ReportedSnapshot, store: str, *, linked: bool) -> str:
    note = snapshot.note and shortened(snapshot.note, MAX_NOTE_CHARACTERS)
    title = f'<p class="title">{safe(note)}</p>' if note else ""
    link = f' <small><a href="#g-{safe(snapshot.id)}">lineage</a></small>' if linked else ""
    about = f"{title}<p>{identifier(snapshot.id)}{link}</p>{tags(_short_labels(snapshot), _short_names(snapshot))}"
    changes = snapshot.changes
    cells = [
        f'<td data-value="{safe(note or snapshot.id)}">{about}</td>',
        f'<td class="day" data-value="{safe(snapshot.created_at)}">{safe(snapshot.created_at[:16])}</td>',
        _number("files", snapshot.files, f"{snapshot.files or 0:,}"),
        _number("size", snapshot.size_bytes, format_size(snapshot.size_bytes or 0)),
        _number("new", snapshot.new_bytes, format_size(snapshot.new_bytes or 0)),
        "".join(_changes(changes, snapshot.id, store))
        if changes
        else '<td class="changes" data-value="-1">damaged</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _number(name: str, value: int | None, shown: str) -> str:
    known = value is not None
    return f'<td class="number" data-name="{name}" data-value="{value if known else -1}">{shown if known else "?"}</td>'


def _short_labels(snapshot: ReportedSnapshot) -> list[tuple[str, str]]:
    return [
        (shortened(key, MAX_LABEL_CHARACTERS), shortened(value, MAX_LABEL_CHARACTERS))
        for key, value in snapshot.labels[:MAX_LABELS]
    ]


def _short_names(snapshot: ReportedSnapshot) -> list[str]:
    return [shortened(name, MAX_LABEL_CHARACTERS) for name in snapshot.names[:MAX_LABELS]]


def _changes(changes: SnapshotChanges, snapshot_id: str, store: str) -> Iterator[str]:
    count = changes.added + changes.removed + changes.modified
    yield f'<td class="changes" data-value="{count}">'
    if not count:
        yield "none</td>"
        return
    counts = {"+": changes.added, "−": changes.removed, "~": changes.modified}
    files = " ".join(f"{sign}{number:,}" for sign, number in counts.items() if number)
    moved = {"+": changes.bytes_added, "−": changes.bytes_removed}
    sizes = " ".join(f"{sign}{format_size(number)}" for sign, number in moved.items() if number)
    yield f"<details><summary>{files} files <small>{sizes}</small></summary><ul>"
    yield "".join(map(_change, changes.listed))
    yield "</ul>"
    if changes.left_out:
        store = store if len(store) <= MAX_STORE_CHARACTERS else "STORE"
        before = f"{store}@{changes.previous_id[:12]} " if changes.previous_id else ""
        verb = "diff" if before else "ls -R"
        command = f"snapdir {verb} {before}{store}@{snapshot_id[:12]}"
        yield f"<p>and {changes.left_out:,} more: {code(command)}</p>"
    yield "</details></td>"


def _change(entry: DiffEntry) -> str:
    sizes = [format_size(side.size) for side in (entry.before, entry.after) if side is not None]
    sign = {"A": "+", "D": "−", "M": "~"}[entry.status]
    path = safe(shortened(entry.path, MAX_PATH_CHARACTERS))
    return f"<li>{sign} <code>{path}</code> <small>{' → '.join(sizes)}</small></li>"


def _lineage(report: StoreReport, shown: Sequence[ReportedSnapshot]) -> Iterator[str]:
    if not shown:
        return
    yield "<h2>Lineage</h2>"
    if not report.relations:
        yield "<p>No history is recorded in this store: its snapshots have no relations, notes or labels.</p>"
        return
    graph = _graph(report, shown)
    shown_ids = {each.id for each in shown}
    if more := sum(edge.later in shown_ids for edge in report.relations) - len(graph.edges):
        yield f"<p>Relations to snapshots that are left out: {more:,}</p>"
    yield from drawing(graph, newest_first=True, names={each.id: _short_names(each) for each in shown})


def _graph(report: StoreReport, shown: Iterable[ReportedSnapshot]) -> Graph:
    """The snapshots that are shown, and what they came from, up to as many again."""
    nodes = {
        each.id: Node(
            each.id,
            created_at=each.created_at,
            note=each.note and shortened(each.note, MAX_NOTE_CHARACTERS),
            labels=tuple(_short_labels(each)),
        )
        for each in shown
    }
    edges = [edge for edge in report.relations if edge.later in nodes]
    here = {each.id for each in report.snapshots}
    elsewhere = dict.fromkeys(edge.earlier for edge in edges if edge.earlier not in here)
    nodes |= {id_: Node(id_) for id_ in list(elsewhere)[:MAX_SNAPSHOTS]}
    return Graph("", tuple(nodes.values()), tuple(edge for edge in edges if edge.earlier in nodes))
