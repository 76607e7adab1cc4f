"""Planned objects in columns are the objects that were added."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from snapdir.model.digest import Digest
from snapdir.transfer.engine.planned_objects import (
    ObjectTable,
    PlannedObject,
    PlannedObjects,
    Target,
    planned_objects,
    target_in_store,
)

DIGESTS = st.binary(min_size=32, max_size=32).map(lambda digest: Digest(digest.hex()))
NAMES = st.lists(st.text("ab é", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple)
TARGETS = st.builds(Target, NAMES, st.integers(0, 0o7777))


@st.composite
def objects(draw: st.DrawFn) -> PlannedObject:
    targets = draw(st.lists(TARGETS, max_size=3))
    path = draw(NAMES) if not targets or draw(st.booleans()) else targets[0].names
    size = draw(st.none() | st.integers(0, 2**63))
    return PlannedObject(draw(DIGESTS), size, "/".join((".", *path)), targets)


LISTS = st.lists(objects(), max_size=8)


@given(LISTS)
def test_objects_come_back_as_they_were_added(planned: list[PlannedObject]) -> None:
    columns = PlannedObjects(planned)
    assert list(columns) == planned
    assert [columns[position] for position in range(len(columns))] == planned
    assert columns[1:] == planned[1:]
    assert columns.count_targets() == sum(len(each.targets) for each in planned)
    assert columns.count_target_bytes() == sum((each.size or 0) * len(each.targets) for each in planned)


@given(LISTS, st.integers(0, 2**63))
def test_parts_keep_the_order(planned: list[PlannedObject], limit: int) -> None:
    def is_small(each: PlannedObject) -> bool:
        return each.size is not None and each.size <= limit

    small, others = PlannedObjects(planned).parted(is_small)
    assert list(small) == [each for each in planned if is_small(each)]
    assert list(others) == [each for each in planned if not is_small(each)]
    assert small.where(lambda each: False) == []


@given(LISTS)
def test_in_a_store_an_object_has_the_place_of_its_digest(planned: list[PlannedObject]) -> None:
    stored: Sequence[PlannedObject] = PlannedObjects(planned).in_store()
    for each, expected in zip(stored, planned, strict=True):
        assert each.targets == [target_in_store(expected.digest)]
        assert (each.digest, each.size, each.path) == (expected.digest, expected.size, expected.path)


@given(DIGESTS, TARGETS, st.lists(TARGETS, max_size=3))
def test_a_table_takes_more_targets_and_a_size(digest: Digest, first: Target, more: list[Target]) -> None:
    table = ObjectTable()
    position = table.add_row(bytes.fromhex(digest), None, "/".join((".", *first.names)), first.mode)
    for target in more:
        table.add_target(position, target)
    table.learn_size(position, 7)
    table.learn_size(position, 8)
    assert table[position].targets == [first, *more]
    assert table[position].size == 7
    assert table.known_size(position) == 7


def test_changes_to_an_object_stay_with_it() -> None:
    target = Target(("a",), 0o644)
    columns = PlannedObjects([PlannedObject(Digest("0" * 64), None, "./a", [target, target])])
    columns[0].targets.clear()
    columns[0].size = 5
    assert columns[0] == PlannedObject(Digest("0" * 64), None, "./a", [target, target])


def test_columns_are_used_as_they_are() -> None:
    columns = PlannedObjects()
    assert planned_objects(columns) is columns
    assert planned_objects([]) == []
