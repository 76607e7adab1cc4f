"""The rows of a lineage: each snapshot once, below those it must be below, and lines that never meet by accident."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from snapdir.catalog.graph import Edge, Graph, Node
from snapdir.catalog.lanes import FOLDED_FROM, MAX_LINES, Drawing, Fold, Row, draw


def id_of(number: int) -> str:
    return f"{number:064x}"


def graph_of(count: int, edges: set[tuple[int, int, str]], *, focus: int | None = None) -> Graph:
    """``edges`` are (earlier, later, relation); a higher number is newer."""
    nodes = tuple(Node(id_of(number), f"2026-11-01 10:00:00.{number:03d}") for number in range(count))
    relations = tuple(Edge(id_of(one), id_of(other), relation) for one, other, relation in sorted(edges))
    return Graph("" if focus is None else id_of(focus), nodes, relations)


def history(count: int) -> set[tuple[int, int, str]]:
    return {(number, number + 1, "history") for number in range(count - 1)}


@st.composite
def graphs(draw: st.DrawFn, *, circles: bool = True) -> Graph:
    count = draw(st.integers(1, 14))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] != pair[1])
    pairs = ends if circles else ends.map(lambda pair: (min(pair), max(pair)))
    kinds = st.sampled_from(["history", "history", "derived"])
    edges = draw(st.sets(st.tuples(pairs, kinds), max_size=30))
    return graph_of(count, {(*pair, kind) for pair, kind in edges}, focus=draw(st.none() | st.just(count - 1)))


def rows_of(drawing: Drawing) -> Iterator[Row]:
    for row in drawing.rows:
        yield from row.rows if isinstance(row, Fold) else (row,)


@given(graphs(), st.booleans())
def test_every_snapshot_is_one_row(graph: Graph, newest_first: bool) -> None:
    rows = list(rows_of(draw(graph, newest_first=newest_first)))
    assert sorted(row.id for row in rows) == sorted(node.id for node in graph.nodes)


@given(graphs(circles=False), st.booleans())
def test_without_circles_every_line_leads_down(graph: Graph, newest_first: bool) -> None:
    position = {row.id: number for number, row in enumerate(rows_of(draw(graph, newest_first=newest_first)))}
    for earlier, later in graph.relations():
        assert (position[later] < position[earlier]) == newest_first


@given(graphs(), st.booleans())
def test_lines_go_on_from_row_to_row_and_end_at_the_snapshots_they_lead_to(graph: Graph, newest_first: bool) -> None:
    drawing = draw(graph, newest_first=newest_first)
    coming: dict[int, bool] = {}
    for row in rows_of(drawing):
        assert {line.column: line.derived for line in (*row.passing, *row.arriving)} == coming
        assert row.column not in {line.column for line in row.passing}
        coming = {line.column: line.derived for line in row.passing}
        for line in row.leaving:
            assert coming.setdefault(line.column, line.derived) == line.derived
        assert row.column < drawing.columns
        assert max(coming, default=0) < min(drawing.columns, MAX_LINES)
    assert coming == {}


@given(graphs(), st.booleans())
def test_every_relation_has_a_line_or_is_counted(graph: Graph, newest_first: bool) -> None:
    drawing = draw(graph, newest_first=newest_first)
    assert sum(len(row.leaving) for row in rows_of(drawing)) + drawing.undrawn == len(graph.relations())


@given(graphs(), st.booleans())
def test_beside_a_fold_no_line_begins_ends_or_moves(graph: Graph, newest_first: bool) -> None:
    for fold in draw(graph, newest_first=newest_first).rows:
        if isinstance(fold, Fold):
            assert len(fold.rows) >= FOLDED_FROM
            assert graph.focus not in {row.id for row in fold.rows}
            assert {row.column for row in fold.rows} == {fold.rows[0].column}
            assert {tuple((line.column) for line in row.passing) for row in fold.rows} == {
                tuple(line.column for line in fold.rows[0].passing)
            }


def test_a_long_history_is_two_rows_and_a_fold() -> None:
    drawing = draw(graph_of(500, history(500), focus=499), newest_first=True)
    first, fold, last = drawing.rows
    assert isinstance(first, Row)
    assert isinstance(fold, Fold)
    assert isinstance(last, Row)
    assert (first.id, len(fold.rows), last.id) == (id_of(499), 498, id_of(0))
    assert drawing.columns == 1


def test_a_snapshot_that_others_were_derived_from_stays_in_sight() -> None:
    edges = history(21) | {(10, 21, "derived")}
    shown = [row.id for row in draw(graph_of(22, edges), newest_first=True).rows if isinstance(row, Row)]
    assert shown == [id_of(21), id_of(20), id_of(10), id_of(0)]


def test_the_oldest_first_begins_with_what_everything_came_from() -> None:
    rows = [row.id for row in rows_of(draw(graph_of(3, {(0, 1, "derived"), (0, 2, "derived")}), newest_first=False))]
    assert rows == [id_of(0), id_of(1), id_of(2)]


def test_a_hundred_snapshots_derived_from_one_share_a_line() -> None:
    drawing = draw(graph_of(101, {(0, number, "derived") for number in range(1, 101)}), newest_first=True)
    assert (drawing.columns, drawing.undrawn) == (2, 0)


def test_more_lines_than_columns_are_counted() -> None:
    drawing = draw(graph_of(31, {(number, 30, "derived") for number in range(30)}), newest_first=True)
    assert drawing.columns == MAX_LINES
    assert drawing.undrawn == 30 - MAX_LINES


def test_a_history_that_returns_to_an_earlier_state_has_rows_too() -> None:
    drawing = draw(graph_of(2, {(0, 1, "history"), (1, 0, "history")}), newest_first=True)
    assert ([row.id for row in rows_of(drawing)], drawing.undrawn) == ([id_of(1), id_of(0)], 1)


def test_a_long_circle_ends() -> None:
    count = 300
    drawing = draw(
        graph_of(count, {(number, (number + 1) % count, "history") for number in range(count)}), newest_first=True
    )
    assert (len(list(rows_of(drawing))), drawing.undrawn) == (count, 1)
