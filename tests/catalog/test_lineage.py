"""Where a snapshot came from, and what came from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.catalog.lineage import Relation, ancestors, descendants
from snapdir.catalog.record import Record

IDS = [digit * 64 for digit in "abcdef012345"]
A, B, C, D, E, F = IDS[:6]
HERE, THERE = "file:///here", "file:///there"


def at(number: int) -> str:
    return f"2026-06-01 10:00:00.{number:03d}"


def history(*ids: str, location: str = HERE, first: int = 0) -> list[Record]:
    """The records left by pushing ``ids`` in sequence."""
    pairs = zip([None, *ids], ids, strict=False)
    return [Record(f"{first + n:032x}", "push", id, location, at(first + n), old) for n, (old, id) in enumerate(pairs)]


def derived(new: str, *sources: str, number: int = 500, location: str = HERE) -> Record:
    return Record(f"{number:032x}", "push", new, location, at(number), None, derived_from=sources)


def rows(relations: Sequence[Relation]) -> list[tuple[str, str, str, int]]:
    return [(each.id, each.of, each.relation, each.depth) for each in relations]


def test_the_whole_history_is_told_nearest_first() -> None:
    assert rows(ancestors(history(A, B, C), C)) == [(B, C, "history", 1), (A, B, "history", 2)]
    assert rows(descendants(history(A, B, C), A)) == [(B, A, "history", 1), (C, B, "history", 2)]


def test_each_step_has_the_place_and_time_of_the_younger_one() -> None:
    first, second = ancestors(history(A, B, C), C)
    assert (first.location, first.created_at) == (HERE, at(2))
    assert second.created_at == at(1)
    assert [found.created_at for found in descendants(history(A, B, C), A)] == [at(1), at(2)]


def test_depth_ends_the_walk() -> None:
    assert rows(ancestors(history(A, B, C, D), D, depth=2)) == [(C, D, "history", 1), (B, C, "history", 2)]
    assert ancestors(history(A, B), B, depth=0) == []


def test_a_history_that_returned_has_no_end_but_is_told_once() -> None:  # DER-24
    assert rows(ancestors(history(A, B, A), A)) == [(B, A, "history", 1)]
    assert rows(ancestors(history(A, B, A), B)) == [(A, B, "history", 1)]
    assert rows(ancestors(history(A, B, A, B), B)) == [(A, B, "history", 1)]


def test_what_it_was_made_from_goes_on_with_the_history_of_that() -> None:
    records = [*history(A, B), derived(C, B, location=THERE)]
    assert rows(ancestors(records, C)) == [(B, C, "derived", 1), (A, B, "history", 2)]
    assert rows(descendants(records, A)) == [(B, A, "history", 1), (C, B, "derived", 2)]


def test_both_ways_to_one_ancestor_are_told() -> None:
    records = [derived(B, A), derived(C, A, B, number=501)]
    assert rows(ancestors(records, C)) == [(A, C, "derived", 1), (B, C, "derived", 1), (A, B, "derived", 2)]


def test_one_step_at_two_locations_is_two_rows_newest_first() -> None:
    records = [*history(A, B), *history(A, B, location=THERE, first=10)]
    assert [found.location for found in ancestors(records, B)] == [THERE, HERE]


def test_nothing_comes_from_itself() -> None:
    records = [derived(A, A), Record("1" * 32, "push", A, HERE, at(1), A, note="again")]
    assert ancestors(records, A) == []
    assert descendants(records, A) == []


def test_an_unknown_id_has_no_lineage() -> None:
    assert ancestors(history(A, B), F) == []
    assert ancestors([], F) == []


def test_a_long_history_needs_no_deep_stack() -> None:
    ids = [f"{number:064x}" for number in range(20_000)]
    records = [Record(id, "push", id, HERE, at(0), old) for old, id in zip([None, *ids], ids, strict=False)]
    assert len(ancestors(records, ids[-1])) == len(ids) - 1


graphs = st.lists(
    st.builds(
        lambda number, id, old, sources: Record(
            f"{number:032x}", "push", id, HERE, at(number), old, derived_from=tuple(sources)
        ),
        st.integers(0, 999),
        st.sampled_from(IDS),
        st.none() | st.sampled_from(IDS),
        st.lists(st.sampled_from(IDS), max_size=2),
    ),
    max_size=14,
)
both = pytest.mark.parametrize("walk", [ancestors, descendants])
Walk = Callable[..., list[Relation]]


def older(record: Record) -> set[str]:
    return {*record.derived_from, record.previous_id or record.id} - {record.id}


def reachable(records: Sequence[Record], start: str, steps: int, walk: Walk) -> dict[str, int]:
    """Ids and their distances, computed naively."""
    edges = {(record.id, old) for record in records for old in older(record)}
    if walk is descendants:
        edges = {(old, new) for new, old in edges}
    found = {start: 0}
    for distance in range(1, steps + 1):
        for new in {far for near, far in edges if near in found}:
            found.setdefault(new, distance)
    del found[start]
    return found


@both
@given(records=graphs, start=st.sampled_from(IDS), steps=st.integers(0, 15))
def test_everything_within_reach_is_told_at_its_distance(
    walk: Walk, records: list[Record], start: str, steps: int
) -> None:
    found = walk(records, start, depth=steps)
    nearest: dict[str, int] = {}
    for relation in found:
        nearest.setdefault(relation.id, relation.depth)
    assert nearest == reachable(records, start, steps, walk)
    assert [relation.depth for relation in found] == sorted(relation.depth for relation in found)


@both
@given(records=graphs, start=st.sampled_from(IDS), steps=st.none() | st.integers(0, 5))
def test_what_is_told_has_no_cycle(walk: Walk, records: list[Record], start: str, steps: int | None) -> None:
    edges = {(relation.of, relation.id) for relation in walk(records, start, depth=steps)}
    while edges:
        last = {far for _, far in edges} - {near for near, _ in edges}
        assert last, "every snapshot leads to another one"
        edges = {(near, far) for near, far in edges if far not in last}


@given(records=graphs)
def test_descendants_are_the_other_way_round(records: list[Record]) -> None:
    above = {(start, found.id) for start in IDS for found in ancestors(records, start)}
    below = {(found.id, start) for start in IDS for found in descendants(records, start)}
    assert above == below
