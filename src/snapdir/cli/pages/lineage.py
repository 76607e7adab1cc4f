"""A lineage as HTML: a row for each snapshot, with lines beside it, long stretches of history folded. Pure.

``drawing`` is also a part of the page of ``report``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from snapdir.catalog.graph import Graph, Node
from snapdir.catalog.lanes import Fold, Line, Row, draw
from snapdir.cli.pages.document import code, document, identifier, safe
from snapdir.model.digest import SHORT_ID_DIGITS

PITCH = 16
"""Pixels from one column to the next."""

DOT = 16
"""Pixels from the top of a row to the middle of its dot, at the height of the first line of text."""

BEND = 40
"""Pixels from the top of a row to where the last line that leaves its dot is straight; no row is lower."""

MAX_NAMED = 20
"""Sources and places that a row names."""


def lineage_page(graph: Graph, *, backward: bool) -> str:
    """The snapshot that was asked about on top; below it its ancestors (``backward``) or descendants."""
    title = "What this snapshot came from" if backward else "What came from this snapshot"
    body = [
        f"<header><h1>{title}</h1><p>{code(graph.focus)}</p></header>",
        *drawing(graph, newest_first=backward),
    ]
    return document(title, body)


def drawing(graph: Graph, *, newest_first: bool, names: Mapping[str, Iterable[str]] | None = None) -> Iterator[str]:
    """The rows, after a legend. A row has the anchor ``g-`` and its id.

    Args:
        names: Of each snapshot, in the store.
    """
    lanes = draw(graph, newest_first=newest_first)
    about = _About(graph, names or {})
    yield from _legend(graph, newest_first=newest_first, undrawn=lanes.undrawn)
    yield f'<div class="lineage" style="--lanes: {lanes.columns * PITCH}px">'
    for row in lanes.rows:
        yield from _fold(row, about) if isinstance(row, Fold) else [_row(row, about)]
    yield "</div>"


def tags(labels: Iterable[tuple[str, str]], names: Iterable[str] = ()) -> str:
    """Names and labels as small boxes."""
    boxes = [f'<span class="name">{safe(name)}</span>' for name in names]
    boxes += [f"<span>{safe(key)}={safe(value)}</span>" for key, value in labels]
    return f'<p class="tags">{" ".join(boxes)}</p>' if boxes else ""


class _About:
    """The text beside the rows."""

    def __init__(self, graph: Graph, names: Mapping[str, Iterable[str]]) -> None:
        self.focus = graph.focus
        self._nodes = {node.id: node for node in graph.nodes}
        self._names = names
        self._sources: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for (earlier, later), relations in graph.relations().items():
            self._sources.setdefault(later, []).append((earlier, relations))

    def text(self, id_: str) -> Iterator[str]:
        node = self._nodes[id_]
        if node.note:
            yield f'<p class="title">{safe(node.note)}</p>'
        yield f"<p>{identifier(id_)}{self._when_and_where(node)}</p>"
        yield tags(node.labels, self._names.get(id_, ()))
        yield self._from(id_)

    def _when_and_where(self, node: Node) -> str:
        when = safe(node.created_at[:16]) if node.created_at else "not recorded here"
        facts = [when, *map(code, node.locations[:MAX_NAMED]), _more(node.locations)]
        return "".join(f' <span class="fact">{fact}</span>' for fact in facts if fact)

    def _from(self, id_: str) -> str:
        sources = self._sources.get(id_, [])
        links = [_link(earlier, relations) for earlier, relations in sources[:MAX_NAMED]]
        return f'<p class="from">from {", ".join(filter(None, [*links, _more(sources)]))}</p>' if links else ""

    def span(self, rows: Iterable[Row]) -> str:
        """The first and the last day of several snapshots."""
        days = sorted(self._nodes[row.id].created_at[:10] for row in rows if self._nodes[row.id].created_at)
        return " to ".join(dict.fromkeys(days[:1] + days[-1:]))


def _link(id_: str, relations: Iterable[str]) -> str:
    return f'<a href="#g-{safe(id_)}"><code>{safe(id_[:SHORT_ID_DIGITS])}</code></a> ({" and ".join(relations)})'


def _more(items: Iterable[object]) -> str:
    count = len(list(items)) - MAX_NAMED
    return f"and {count:,} more" if count > 0 else ""


def _row(row: Row, about: _About) -> str:
    chosen = row.id == about.focus
    lines = chain(
        (_straight(line) for line in row.passing),
        (_arriving(line, row.column) for line in row.arriving),
        (_leaving(line, row) for line in row.leaving),
    )
    dot = f'<circle cx="{_x(row.column)}" cy="{DOT}" r="{7 if chosen else 5}"/>'
    text = "".join(about.text(row.id))
    marked = " chosen" if chosen else ""
    return f'<div class="row{marked}" id="g-{safe(row.id)}"><svg>{"".join(lines)}{dot}</svg><div>{text}</div></div>'


def _fold(fold: Fold, about: _About) -> Iterator[str]:
    own = [line for line in fold.passing if line.column == fold.rows[0].column]
    lines = "".join(map(_straight, [line for line in fold.passing if line not in own]))
    x = _x(fold.rows[0].column)
    kind = " class=derived" if own and own[0].derived else ""
    gap = f'<line{kind} x1="{x}" x2="{x}" y1="0" y2="8"/><line{kind} x1="{x}" x2="{x}" y1="24" y2="100%"/>'
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="1.5"/>' for y in (12, 16, 20))
    yield f'<details><summary class="row"><svg>{lines}{gap}{dots}</svg>'
    yield f"<div>{len(fold.rows):,} more of this history <small>{about.span(fold.rows)}</small></div></summary>"
    for row in fold.rows:
        yield _row(row, about)
    yield "</details>"


def _x(column: int) -> int:
    return column * PITCH + PITCH // 2


def _kind(line: Line) -> str:
    return " class=derived" if line.derived else ""


def _straight(line: Line, *, top: str = "0") -> str:
    x = _x(line.column)
    return f'<line{_kind(line)} x1="{x}" x2="{x}" y1="{top}" y2="100%"/>'


def _arriving(line: Line, column: int) -> str:
    x, end = _x(line.column), _x(column)
    return f'<path{_kind(line)} d="M{x} 0C{x} 10 {end} 4 {end} {DOT}"/>'


def _leaving(line: Line, row: Row) -> str:
    if line.column == row.column:
        return _straight(line, top=str(DOT))
    start, x = _x(row.column), _x(line.column)
    joins = any(other.column == line.column for other in row.passing)
    bend = f'<path{_kind(line)} d="M{start} {DOT}C{start} {BEND - 8} {x} {DOT + 8} {x} {BEND}"/>'
    return bend if joins else bend + _straight(line, top=str(BEND))


def _legend(graph: Graph, *, newest_first: bool, undrawn: int) -> Iterator[str]:
    downwards = "came from" if newest_first else "led to"
    samples = [("<line x1=2 x2=30 y1=8 y2=8 class=derived />", f"down to what it {downwards} (--derived-from)")]
    samples += [("<line x1=2 x2=30 y1=8 y2=8 />", f"{'previous' if newest_first else 'next'} snapshot at that place")]
    if graph.focus:
        samples.append(('<g class="chosen"><circle cx=16 cy=8 r=7 /></g>', "the snapshot asked about"))
    items = "".join(f'<li><svg width="32" height="16">{sample}</svg> {words}</li>' for sample, words in samples)
    yield f'<ul class="legend">{items}</ul>'
    if undrawn:
        yield f"<p>Relations without a line here: {undrawn:,}; the word “from” names them.</p>"
