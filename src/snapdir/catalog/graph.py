"""A lineage as a graph, and that graph as Graphviz dot or Mermaid text. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from snapdir.catalog.lineage import Relation
from snapdir.catalog.record import Record
from snapdir.model.digest import SHORT_ID_DIGITS

_PLAIN_IN_MERMAID = frozenset(" .,/-_=@+~")


@dataclass(frozen=True, slots=True)
class Node:
    """A snapshot and the facts of its records.

    Attributes:
        created_at: When it was first recorded; empty if only other records name it.
        locations: In the order of its records.
        note: The latest one.
    """

    id: str
    created_at: str = ""
    locations: tuple[str, ...] = ()
    note: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def short_id(self) -> str:
        return self.id[:SHORT_ID_DIGITS]

    def lines(self) -> list[str]:
        """The facts besides the id, one on each line."""
        more = f" and {len(self.locations) - 1} more" if self.locations[1:] else ""
        location = "".join(self.locations[:1]) + more
        labels = ", ".join(f"{key}={value}" for key, value in self.labels)
        facts = (self.created_at[:16], location, self.note, labels)
        return [visible(fact) for fact in facts if fact]


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """``later`` came after ``earlier``: ``history`` at one location, or ``derived`` from it."""

    earlier: str
    later: str
    relation: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Snapshots and their relations. ``focus``, the first, is the one asked about; empty for a whole history."""

    focus: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def relations(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """All relations of each pair, (earlier, later)."""
        relations: dict[tuple[str, str], tuple[str, ...]] = {}
        for edge in self.edges:
            pair = (edge.earlier, edge.later)
            relations[pair] = (*relations.get(pair, ()), edge.relation)
        return relations


def lineage_graph(focus: str, relations: Iterable[Relation], records: Iterable[Record], *, backward: bool) -> Graph:
    """The graph of the ``ancestors`` (``backward``) or ``descendants`` of ``focus``."""
    ids: dict[str, None] = {focus: None}
    edges: dict[Edge, None] = {}
    for relation in relations:
        ids.setdefault(relation.of)
        ids.setdefault(relation.id)
        pair = (relation.id, relation.of) if backward else (relation.of, relation.id)
        edges.setdefault(Edge(*pair, relation.relation))
    about = _about(records, ids)
    return Graph(focus, tuple(_node(id_, about.get(id_, ())) for id_ in ids), tuple(edges))


def history_graph(records: Iterable[Record]) -> Graph:
    """The graph of everything that ``records`` say."""
    known = list(records)
    ids: dict[str, None] = {}
    edges: dict[Edge, None] = {}
    for record in known:
        ids.setdefault(record.id)
        for earlier, relation in ((record.previous_id, "history"), *((id_, "derived") for id_ in record.derived_from)):
            if earlier not in (None, record.id):
                ids.setdefault(earlier)
                edges.setdefault(Edge(earlier, record.id, relation))
    about = _about(known, ids)
    return Graph("", tuple(_node(id_, about.get(id_, ())) for id_ in ids), tuple(edges))


def _about(records: Iterable[Record], ids: Collection[str]) -> Mapping[str, list[Record]]:
    about: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: (record.created_at, record.record_id)):
        if record.id in ids:
            about.setdefault(record.id, []).append(record)
    return about


def _node(id_: str, records: Collection[Record]) -> Node:
    labels = {key: value for record in records for key, value in record.labels}
    notes = [record.note for record in records if record.note]
    return Node(
        id_,
        created_at=next((record.created_at for record in records), ""),
        locations=tuple(dict.fromkeys(record.location for record in records)),
        note=notes[-1] if notes else None,
        labels=tuple(labels.items()),
    )


def to_dot(graph: Graph) -> str:
    """The graph for Graphviz, oldest on top."""
    names = _names(graph)
    lines = ["digraph lineage {", '  node [shape=box, fontname="monospace"];']
    for node in graph.nodes:
        text = "\\n".join(map(_dot_text, [node.short_id, *node.lines()]))
        focus = ", penwidth=3" if node.id == graph.focus else ""
        lines.append(f'  {names[node.id]} [label="{text}", tooltip="{_dot_text(node.id)}"{focus}];')
    for edge in graph.edges:
        style = "solid" if edge.relation == "derived" else "dashed"
        label = _dot_text(edge.relation)
        lines.append(f'  {names[edge.earlier]} -> {names[edge.later]} [label="{label}", style={style}];')
    return "\n".join([*lines, "}"]) + "\n"


def to_mermaid(graph: Graph) -> str:
    """The graph for Mermaid, oldest on top."""
    names = _names(graph)
    lines = ["flowchart TB"]
    for node in graph.nodes:
        text = "<br/>".join(map(_mermaid_text, [node.short_id, *node.lines()]))
        lines.append(f'  {names[node.id]}["{text}"]')
    for edge in graph.edges:
        arrow = "-->" if edge.relation == "derived" else "-.->"
        lines.append(f'  {names[edge.earlier]} {arrow}|"{_mermaid_text(edge.relation)}"| {names[edge.later]}')
    lines.append(f"  style {names[graph.focus]} stroke-width:3px")
    return "\n".join(lines) + "\n"


def visible(text: str) -> str:
    """``text`` without characters that steer a display: controls, line ends, marks of direction."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _names(graph: Graph) -> Mapping[str, str]:
    return {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _mermaid_text(text: str) -> str:
    # By number, not only quotes: Mermaid looks for directives (%%{...}%%) and styles (style ...:#...;) inside labels.
    return "".join(c if c.isalnum() or c in _PLAIN_IN_MERMAID else f"#{ord(c)};" for c in text)
