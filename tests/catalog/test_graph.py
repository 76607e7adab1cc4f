"""A lineage as dot and as Mermaid: every snapshot once, every relation shown, all text escaped."""

from __future__ import annotations

import re

import pytest

from snapdir.catalog.graph import Edge, Graph, Node, history_graph, lineage_graph, to_dot, to_mermaid
from snapdir.catalog.lineage import ancestors, descendants
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


def test_a_whole_history_has_every_snapshot_and_relation_that_a_record_names() -> None:
    graph = history_graph([*STORY, record(3, previous=3, note="again")])
    assert graph.focus == ""
    assert sorted(node.id for node in graph.nodes) == [id_of(1), id_of(2), id_of(3)]
    assert set(graph.edges) == {
        Edge(id_of(1), id_of(2), "history"),
        Edge(id_of(1), id_of(2), "derived"),
        Edge(id_of(2), id_of(3), "derived"),
    }
    assert history_graph([]) == Graph("", (), ())


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
