"""Shards: disjoint, complete, the same for everybody, and about equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidOption
from snapdir.model.entry import FILE, Entry
from snapdir.model.sharding import Shard

sizes = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2**40)), max_size=60)
counts = st.integers(1, 9)


def files(sizes: list[int]) -> list[Entry]:
    return [Entry(FILE, "644", "ab" * 32, size, f"./{number}") for number, size in enumerate(sizes)]


def shards(entries: list[Entry], count: int) -> list[list[Entry]]:
    return [Shard(index, count).of(entries) for index in range(1, count + 1)]


@given(sizes=sizes, count=counts)
def test_every_file_is_in_exactly_one_shard(sizes: list[int], count: int) -> None:
    entries = files(sizes)
    assert sorted(entry for shard in shards(entries, count) for entry in shard) == sorted(entries)


@given(sizes=sizes, count=counts, random=st.randoms())
def test_the_order_of_the_files_does_not_matter(sizes: list[int], count: int, random) -> None:
    entries = files(sizes)
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert shards(shuffled, count) == shards(entries, count)


@given(sizes=sizes, count=counts)
def test_two_shards_differ_by_no_more_than_the_largest_file(sizes: list[int], count: int) -> None:
    totals = [sum(entry.size for entry in shard) for shard in shards(files(sizes), count)]
    assert max(totals) - min(totals) <= max(sizes, default=0)


def test_empty_files_are_shared_out() -> None:
    assert [len(shard) for shard in shards(files([0] * 10), 5)] == [2] * 5


def test_a_shard_is_written_as_it_is_read() -> None:
    assert str(Shard.parse("3/8")) == "3/8"
    assert Shard.parse("3/8") == Shard(3, 8)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3", "1/1000000", "1 /2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="invalid --shard"):
        Shard.parse(text, "--shard")


def test_the_shards_of_known_files_never_change() -> None:
    """Nodes of other releases share the same files out: the largest first, each where the fewest bytes are."""
    found = [[entry.path for entry in shard] for shard in shards(files([5, 9, 1, 7, 7, 3]), 3)]
    assert found == [["./1", "./2"], ["./3", "./0"], ["./4", "./5"]]
