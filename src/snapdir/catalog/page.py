"""A lineage as one self-contained HTML page: the graph as SVG, and a table of the snapshots. Pure.

Locations, notes and labels may hold any text, and are escaped. In addition, the content security policy of the page
(``default-src 'none'``) blocks scripts and requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise

from snapdir.catalog.graph import Graph, Node, visible
from snapdir.catalog.layout import CARD_WIDTH, Card, Layout, Route, lay_out
from snapdir.model.digest import SHORT_ID_DIGITS

SHOWN_CHARACTERS = 36
"""Of a line in a card; the table holds the whole text."""

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2024; --quiet: #60646c; --card: #f6f7f9;
  --line: #c1c8cd; --accent: #0b68cb; --old: #8b8d98; }
@media (prefers-color-scheme: dark) { :root { --paper: #111113; --ink: #edeef0; --quiet: #a0a4ab; --card: #1c1e21;
  --line: #43484e; --accent: #70b8ff; --old: #777b84; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 80rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0; } h1 + p { margin: 0.25rem 0 1rem; color: var(--quiet); }
code { font-family: ui-monospace, monospace; font-size: 0.92em; overflow-wrap: anywhere; }
figure { margin: 0; overflow-x: auto; } svg { display: block; margin: 0 auto; }
svg text { font: 13px system-ui, sans-serif; fill: var(--quiet); }
svg .id { font: 600 14px ui-monospace, monospace; fill: var(--ink); }
svg .card rect { fill: var(--card); stroke: var(--line); } svg .card:hover rect { stroke: var(--ink); }
svg .focus rect { stroke: var(--accent); stroke-width: 2.5; }
svg path { fill: none; stroke: var(--old); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg path.derived { stroke: var(--accent); stroke-width: 2; stroke-dasharray: none; }
svg marker path, svg marker path.derived { stroke: none; fill: var(--old); }
svg marker path.derived { fill: var(--accent); }
svg .relation { font-size: 12px; text-anchor: middle; stroke: var(--paper); stroke-width: 4px; paint-order: stroke; }
table { border-collapse: collapse; width: 100%; margin-top: 1.5rem; font-size: 0.93rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.75rem 0.4rem 0; border-top: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; } td { overflow-wrap: anywhere; } td a { color: inherit; }
tr:target td { background: var(--card); }
"""


def lineage_page(graph: Graph, *, title: str) -> str:
    """The page. A click on a snapshot in the drawing leads to its row in the table."""
    anchors = {node.id: f"s{number}" for number, node in enumerate(graph.nodes)}
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{_text(title)}</h1>",
            f"<p>{_code(graph.focus)}</p>",
            "<figure>",
            *_drawing(graph, lay_out(graph), anchors),
            "</figure>",
            *_table(graph, anchors),
            "</body>",
            "</html>",
            "",
        ]
    )


def _drawing(graph: Graph, layout: Layout, anchors: dict[str, str]) -> Iterator[str]:
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    yield f'<svg {size} viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" role="img" aria-label="Lineage">'
    yield "<defs>"
    for kind in ("history", "derived"):
        yield (
            f'<marker id="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path class="{kind}" d="M0 0L10 5L0 10z"/></marker>'
        )
    yield "</defs>"
    for route in layout.routes:
        yield _arrow(route)
    nodes = {node.id: node for node in graph.nodes}
    for card in layout.cards:
        yield from _card(card, nodes[card.id], anchors[card.id], focus=card.id == graph.focus)
    for route in layout.routes:
        yield _relation(route)
    yield "</svg>"


def _arrow(route: Route) -> str:
    kind = "derived" if "derived" in route.relations else "history"
    (x, y), *_ = route.points
    curves = "".join(_curve(*start, *end) for start, end in pairwise(route.points))
    return f'<path class="{kind}" marker-end="url(#{kind})" d="M{x:.1f} {y:.1f}{curves}"/>'


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (y + to_y) / 2
    return f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"


def _relation(route: Route) -> str:
    (x, y), (to_x, to_y), *_ = route.points
    words = _text(" + ".join(route.relations))
    return f'<text class="relation" x="{(x + to_x) / 2:.1f}" y="{(y + to_y) / 2 + 4:.1f}">{words}</text>'


def _card(card: Card, node: Node, anchor: str, *, focus: bool) -> Iterator[str]:
    yield f'<a class="card{" focus" if focus else ""}" href="#{anchor}"><title>{_text(node.id)}</title>'
    yield f'<rect x="{card.x:.1f}" y="{card.y:.1f}" width="{CARD_WIDTH:.0f}" height="{card.height:.1f}" rx="8"/>'
    y = card.y + 26
    yield f'<text class="id" x="{card.x + 16:.1f}" y="{y:.1f}">{_text(node.short_id)}</text>'
    for line in node.lines():
        y += 18
        yield f'<text x="{card.x + 16:.1f}" y="{y:.1f}">{_text(_cut(line))}</text>'
    yield "</a>"


def _cut(line: str) -> str:
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _table(graph: Graph, anchors: dict[str, str]) -> Iterator[str]:
    titles = ("snapshot", "first recorded (UTC)", "where", "note and labels", "from")
    yield "<table><thead><tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr></thead><tbody>"
    sources: dict[str, list[str]] = {}
    for (earlier, later), relations in graph.relations().items():
        link = f'<a href="#{anchors[earlier]}"><code>{_text(earlier[:SHORT_ID_DIGITS])}</code></a>'
        sources.setdefault(later, []).append(f"{link} {_text(' + '.join(relations))}")
    for node in graph.nodes:
        cells = [_code(node.id), _text(node.created_at), _lines(map(_code, node.locations)), _remarks(node)]
        cells.append(_lines(sources.get(node.id, ())))
        yield f'<tr id="{anchors[node.id]}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table>"


def _remarks(node: Node) -> str:
    note = [_text(node.note)] if node.note else []
    return _lines([*note, *(_code(f"{key}={value}") for key, value in node.labels)])


def _lines(cells: Iterable[str]) -> str:
    return "<br>".join(cells)


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    return escape(visible(text))
