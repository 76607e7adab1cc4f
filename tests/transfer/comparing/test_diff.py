"""Differences, renames and totals: laws that hold for any two sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import SideConflict
from snapdir.model.entry import DIRECTORY, FILE, Entry
from snapdir.model.manifest import Manifest
from snapdir.transfer.comparing.diff import DiffTotals, compare, union, with_renames
from snapdir.transfer.comparing.sizes import SizeStats, measure

contents = st.sampled_from(["aa" * 32, "bb" * 32, "cc" * 32])
sides = st.dictionaries(st.sampled_from(["./a", "./b", "./c/a", "./c/d", "./e"]), contents).map(
    lambda files: {path: Entry(FILE, "644", content, len(path), path) for path, content in files.items()}
)


def stream(side: dict[str, Entry]) -> Iterator[Entry]:
    """The entries in the order of their paths."""
    return iter(Manifest(side.values()))


@given(before=sides, after=sides)
def test_differences_turn_one_side_into_the_other(before: dict[str, Entry], after: dict[str, Entry]) -> None:
    for found in (list(compare(stream(before), stream(after))), with_renames(compare(stream(before), stream(after)))):
        built = dict(before)
        for entry in found:
            built.pop(entry.renamed_from or entry.path, None)
        built.update((entry.path, entry.after) for entry in found if entry.after is not None)
        assert {path: entry.checksum for path, entry in built.items()} == {
            path: entry.checksum for path, entry in after.items()
        }


@given(before=sides, after=sides)
def test_swapping_the_sides_swaps_added_and_deleted(before: dict[str, Entry], after: dict[str, Entry]) -> None:
    swapped = {"A": "D", "D": "A", "M": "M", "=": "="}
    forth = [(swapped[entry.status], entry.path) for entry in compare(stream(before), stream(after), unchanged=True)]
    assert forth == [(entry.status, entry.path) for entry in compare(stream(after), stream(before), unchanged=True)]


@given(before=sides, after=sides)
def test_a_rename_has_one_deleted_and_one_added_file_of_one_content(
    before: dict[str, Entry], after: dict[str, Entry]
) -> None:
    plain = {(entry.status, entry.path) for entry in compare(stream(before), stream(after))}
    found = with_renames(compare(stream(before), stream(after)))
    for entry in found:
        if entry.status == "R":
            assert {("A", entry.path), ("D", entry.renamed_from)} <= plain
            assert before[entry.renamed_from or ""].checksum == after[entry.path].checksum
    left = {entry.after.checksum for entry in found if entry.status == "A" and entry.after}
    assert not left & {entry.before.checksum for entry in found if entry.status == "D" and entry.before}
    sources = [entry.renamed_from for entry in found if entry.status == "R"]
    assert len(set(sources)) == len(sources)


def test_an_object_counts_also_where_its_size_is_not_certain() -> None:
    link = Entry(FILE, "777", "aa" * 32, 4, "./link")
    assert measure([Manifest([link])]) == SizeStats(4, 4, 1, 1)
    assert measure([Manifest([link, Entry(FILE, "644", "aa" * 32, 3, "./target")])]) == SizeStats(7, 3, 2, 1)


@given(before=sides, after=sides)
def test_totals_count_every_file_of_both_sides(before: dict[str, Entry], after: dict[str, Entry]) -> None:
    totals = DiffTotals.of(with_renames(compare(stream(before), stream(after), unchanged=True)))
    assert sum(total.bytes_before for total in totals.kinds.values()) == sum(e.size for e in before.values())
    assert sum(total.bytes_after for total in totals.kinds.values()) == sum(e.size for e in after.values())
    new = {e.checksum for e in after.values()} - {e.checksum for e in before.values()}
    assert totals.new_objects == len(new)


def test_a_side_that_disagrees_names_the_path_unless_the_last_wins() -> None:
    one, other = (Manifest([Entry(FILE, "644", content, 1, "./f")]) for content in ("aa" * 32, "bb" * 32))
    with pytest.raises(SideConflict, match=r"'to' side have different content for \"\./f\"") as raised:
        list(union([one, other], side="to"))
    assert (raised.value.code, raised.value.path) == ("CONFLICT", "./f")
    assert [entry.checksum for entry in union([one, other], last_wins=True)] == ["bb" * 32]


@given(st.lists(sides, max_size=3))
def test_a_side_has_each_path_once_in_order(parts: list[dict[str, Entry]]) -> None:
    expected = {path: entry for part in parts for path, entry in part.items()}
    found = list(union([Manifest(part.values()) for part in parts], last_wins=True))
    assert found == [expected[path] for path in sorted(expected)]


def test_directories_of_one_mode_agree_whatever_is_in_them() -> None:
    manifests = [Manifest([Entry(DIRECTORY, "755", content, 1, "./")]) for content in ("aa" * 32, "bb" * 32)]
    assert [entry.path for entry in union(manifests)] == ["./"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_size_of_a_content_is_a_certain_one_in_any_order(order: int) -> None:
    link = Entry(FILE, "777", "aa" * 32, 9, "./link")
    file = Entry(FILE, "644", "aa" * 32, 5, "./file")
    found = measure([Manifest([entry]) for entry in (link, file)][::order])
    assert (found.logical_bytes, found.physical_bytes, found.files, found.objects) == (14, 5, 2, 1)
