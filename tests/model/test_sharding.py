"""Shards: disjoint, complete, the same for everybody, and about equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidOption
from snapdir.model.sharding import Shard

sizes = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2**40)), max_size=60)
counts = st.integers(1, 9)


def shards(sizes: list[int], count: int) -> list[list[int]]:
    """The positions of the files of each shard."""
    taken = [Shard(index, count).takes(sizes) for index in range(1, count + 1)]
    return [[position for position, is_mine in enumerate(shard) if is_mine] for shard in taken]


@given(sizes=sizes, count=counts)
def test_every_file_is_in_exactly_one_shard(sizes: list[int], count: int) -> None:
    assert sorted(position for shard in shards(sizes, count) for position in shard) == list(range(len(sizes)))


@given(sizes=sizes, count=counts)
def test_two_shards_differ_by_no_more_than_the_largest_file(sizes: list[int], count: int) -> None:
    totals = [sum(sizes[position] for position in shard) for shard in shards(sizes, count)]
    assert max(totals) - min(totals) <= max(sizes, default=0)


def test_empty_files_are_shared_out() -> None:
    assert [len(shard) for shard in shards([0] * 10, 5)] == [2] * 5


def test_a_shard_is_written_as_it_is_read() -> None:
    assert str(Shard.parse("3/8")) == "3/8"
    assert Shard.parse("3/8") == Shard(3, 8)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3", "1/1000000", "1 /2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="invalid --shard"):
        Shard.parse(text, "--shard")


def test_the_shards_of_known_files_never_change() -> None:
    """Nodes of other releases share the same files out: the largest first, each where the fewest bytes are."""
    assert shards([5, 9, 1, 7, 7, 3], 3) == [[1, 2], [0, 3], [4, 5]]
