"""A lineage as dot, as Mermaid, and as a page: every snapshot once, every relation shown, all text escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.catalog.graph import Edge, Graph, Node, lineage_graph, to_dot, to_mermaid
from snapdir.catalog.layout import CARD_WIDTH, lay_out
from snapdir.catalog.lineage import ancestors, descendants
from snapdir.catalog.page import lineage_page
from snapdir.catalog.record import Record

HOSTILE = (
    '"]; n9 [label="owned',
    "</title></svg><script>alert(1)</script>",
    "' onload='alert(1)",
    "%%{init: {'theme': 'dark'}}%%",
    "style n0 fill:#f00;",
    "back\\slash \\N \\",
    "two\nlines\r\x1b[31m\x00",
    "right\N{RIGHT-TO-LEFT OVERRIDE}left",
    "&lt;b&gt; & #quot;",
    "]]> --> <!-- ",
)


def id_of(number: int) -> str:
    return f"{number:064x}"


def record(number: int, *, previous: int | None = None, derived: tuple[int, ...] = (), **said: object) -> Record:
    fields: dict[str, object] = {"location": "s3://bucket/sets", "note": None, "labels": ()} | said
    return Record(
        record_id=f"{number:032x}",
        event="push",
        id=id_of(number),
        created_at=f"2026-11-{number:02d} 10:00:00.000",
        previous_id=None if previous is None else id_of(previous),
        derived_from=tuple(map(id_of, derived)),
        **fields,  # type: ignore[arg-type]
    )


STORY = [
    record(1, note="raw"),
    record(2, previous=1, derived=(1,), note="filtered"),
    record(3, derived=(2,), location="s3://bucket/models", labels=(("acc", "0.9"),)),
]


def test_a_graph_has_every_snapshot_once_and_points_from_earlier_to_later() -> None:
    for graph in (
        lineage_graph(id_of(3), ancestors(STORY, id_of(3)), STORY, backward=True),
        lineage_graph(id_of(1), descendants(STORY, id_of(1)), STORY, backward=False),
    ):
        assert sorted(node.id for node in graph.nodes) == [id_of(1), id_of(2), id_of(3)]
        assert set(graph.edges) == {
            Edge(id_of(1), id_of(2), "history"),
            Edge(id_of(1), id_of(2), "derived"),
            Edge(id_of(2), id_of(3), "derived"),
        }
    assert graph.nodes[0].note == "raw"


def test_a_snapshot_without_relations_is_a_graph_of_one() -> None:
    graph = lineage_graph(id_of(7), [], STORY, backward=True)
    assert graph == Graph(id_of(7), (Node(id_of(7)),), ())
    assert id_of(7) in lineage_page(graph, title="Ancestors")


def test_a_node_says_all_its_places_its_latest_note_and_all_labels() -> None:
    records = [
        record(1, location="/data", note="first", labels=(("a", "1"), ("b", "1"))),
        Record("ff" * 16, "push", id_of(1), "s3://b", "2026-12-01 00:00:00.000", None, (), "second", (("b", "2"),)),
    ]
    (node,) = lineage_graph(id_of(1), [], records, backward=True).nodes
    assert node.locations == ("/data", "s3://b")
    assert (node.note, dict(node.labels)) == ("second", {"a": "1", "b": "2"})
    assert node.lines() == ["2026-11-01 10:00", "/data and 1 more", "second", "a=1, b=2"]


def test_dot_tells_the_two_relations_apart() -> None:
    text = to_dot(lineage_graph(id_of(3), ancestors(STORY, id_of(3)), STORY, backward=True))
    assert text.startswith("digraph lineage {\n")
    assert 'n1 -> n0 [label="derived", style=solid];' in text
    assert 'n2 -> n1 [label="history", style=dashed];' in text
    assert text.endswith("}\n")


def test_mermaid_tells_the_two_relations_apart() -> None:
    text = to_mermaid(lineage_graph(id_of(3), ancestors(STORY, id_of(3)), STORY, backward=True))
    assert text.startswith("flowchart TB\n")
    assert 'n1 -->|"derived"| n0' in text
    assert 'n2 -.->|"history"| n1' in text


def hostile_graph(text: str) -> Graph:
    return Graph(
        id_of(1),
        (Node(id_of(1), "2026-11-01 10:00:00.000", (text, text), text, ((text, text),)), Node(id_of(2))),
        (Edge(id_of(2), id_of(1), "derived"),),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_its_place_in_dot(text: str) -> None:
    lines = to_dot(hostile_graph(text)).splitlines()
    quoted = r'"(?:[^"\\\n]|\\.)*"'
    assert re.fullmatch(rf"  n0 \[label={quoted}, tooltip={quoted}, penwidth=3\];", lines[2])
    assert len(lines) == 6


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_its_place_in_mermaid(text: str) -> None:
    lines = to_mermaid(hostile_graph(text)).splitlines()
    assert re.fullmatch(r'  n0\["(?:[^"%:<>{}()&\\]|<br/>)*"\]', lines[1])
    assert len(lines) == 5


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "h1", "p", "code", "figure", "svg", "defs", "marker", "path", "a",
    "rect", "text", "table", "thead", "tr", "th", "tbody", "td", "br",
}  # fmt: skip


@given(st.sampled_from(HOSTILE) | st.text(max_size=40))
def test_the_page_holds_no_element_attribute_or_address_but_its_own(text: str) -> None:
    reader = read(lineage_page(hostile_graph(text), title=text))
    assert {tag for tag, _ in reader.elements} <= ELEMENTS
    for _, attributes in reader.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert not {"src", "srcset", "action", "data", "xlink:href"} & set(attributes)


def test_the_page_forbids_itself_to_load_or_run_anything() -> None:
    policies = [
        attributes["content"]
        for tag, attributes in read(lineage_page(hostile_graph(""), title="")).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_the_page_shows_long_texts_whole_in_its_table() -> None:
    note = "a very long note " * 20
    assert note in read(lineage_page(hostile_graph(note), title="Ancestors")).text


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any graph, with circles too."""
    count = draw(st.integers(1, 12))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] != pair[1])
    pairs = draw(st.lists(st.tuples(ends, st.sampled_from(["history", "derived"])), max_size=24, unique=True))
    edges = tuple(Edge(id_of(one), id_of(other), relation) for (one, other), relation in pairs)
    return Graph(id_of(0), tuple(Node(id_of(number), note="x" * number) for number in range(count)), edges)


@given(graphs())
def test_no_two_cards_overlap_and_all_are_on_the_paper(graph: Graph) -> None:
    layout = lay_out(graph)
    assert sorted(card.id for card in layout.cards) == sorted(node.id for node in graph.nodes)
    for number, card in enumerate(layout.cards):
        assert card.x >= 0
        assert card.x + CARD_WIDTH <= layout.width + 0.01
        assert card.y >= 0
        assert card.y + card.height <= layout.height + 0.01
        for other in layout.cards[number + 1 :]:
            beside = card.x + CARD_WIDTH <= other.x + 0.01 or other.x + CARD_WIDTH <= card.x + 0.01
            assert beside or card.y + card.height < other.y or other.y + other.height < card.y


@given(graphs())
def test_every_arrow_leaves_its_card_and_reaches_the_other(graph: Graph) -> None:
    layout = lay_out(graph)
    cards = {card.id: card for card in layout.cards}
    assert {(route.earlier, route.later): route.relations for route in layout.routes} == graph.relations()
    for route in layout.routes:
        earlier, later = cards[route.earlier], cards[route.later]
        assert earlier.x < route.points[0][0] < earlier.x + CARD_WIDTH
        assert later.x < route.points[-1][0] < later.x + CARD_WIDTH
        assert (route.points[0][1], route.points[-1][1]) == (earlier.y + earlier.height, later.y)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_without_circles_later_is_lower(pairs: list[tuple[int, int]]) -> None:
    edges = tuple(Edge(id_of(min(pair)), id_of(max(pair)), "derived") for pair in set(pairs) if len(set(pair)) == 2)
    layout = lay_out(Graph(id_of(0), tuple(Node(id_of(number)) for number in range(10)), edges))
    height = {card.id: card.y for card in layout.cards}
    assert all(height[edge.earlier] < height[edge.later] for edge in edges)


def test_a_long_history_is_laid_out() -> None:
    count = 2000
    edges = [Edge(id_of(number), id_of(number + 1), "history") for number in range(count)]
    edges += [Edge(id_of(0), id_of(number), "derived") for number in range(2, count, 10)]
    graph = Graph(id_of(count), tuple(Node(id_of(number)) for number in range(count + 1)), tuple(edges))
    assert len(lay_out(graph).cards) == count + 1
