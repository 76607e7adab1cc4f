"""A part of a snapshot: the selected files and the directories they need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidOption, NothingSelected
from snapdir.model.entry import DIRECTORY, FILE, Entry
from snapdir.model.manifest import Manifest
from snapdir.model.paths import with_parents
from snapdir.model.sharding import Shard
from snapdir.transfer.engine.selection import EVERYTHING, Selection

PATHS = ["./", "./a/", "./a/b/", "./a/b/one.bin", "./a/two.txt", "./empty/", "./three.bin", "./z/", "./z/four.txt"]


def manifest_of(paths: list[str]) -> Manifest:
    return Manifest(
        Entry(DIRECTORY if path.endswith("/") else FILE, "755", "ab" * 32, number, path)
        for number, path in enumerate(paths)
    )


def paths(selection: Selection) -> list[str]:
    return [entry.path for entry in selection.of(manifest_of(PATHS)).entries]


def test_everything_is_the_manifest_itself() -> None:
    manifest = manifest_of(PATHS)
    assert EVERYTHING.of(manifest) is manifest
    assert not EVERYTHING.is_partial


def test_a_file_brings_the_directories_above_it() -> None:
    assert paths(Selection(include=("*.bin",))) == ["./", "./a/", "./a/b/", "./a/b/one.bin", "./three.bin"]


def test_a_directory_brings_what_is_in_it_also_when_that_is_nothing() -> None:
    assert paths(Selection(include=("a/", "empty"))) == ["./", *PATHS[1:6]]


def test_exclude_wins() -> None:
    assert paths(Selection(include=("a/",), exclude=("b/",))) == ["./", "./a/", "./a/two.txt"]
    assert paths(Selection(exclude=("*.txt", "a"))) == ["./", "./empty/", "./three.bin", "./z/"]


@pytest.mark.parametrize("selection", [Selection(include=("*.jpg",)), Selection(exclude=("**",))])
def test_nothing_is_an_error_that_says_what_was_asked_for(selection: Selection) -> None:
    with pytest.raises(NothingSelected, match=r"--(include \*\.jpg|exclude \*\*)"):
        selection.of(manifest_of(PATHS))


def test_an_empty_shard_and_an_empty_snapshot_are_fine() -> None:
    assert [path for path in paths(Selection(shard=Shard(9, 9))) if not path.endswith("/")] == []
    assert len(Selection(exclude=("x",)).of(manifest_of(["./"])).entries) == 1


def test_a_bad_glob_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(InvalidOption, match="invalid glob"):
        Selection(exclude=("[",))


names = st.lists(st.sampled_from(["a", "b", "a!", "a.bin"]), min_size=1, max_size=4).map("/".join)
listed = st.lists(st.builds(lambda name, end: f"./{name}{end}", names, st.sampled_from(["", "/"])), unique=True)


@given(paths=listed, include=st.sampled_from([("*.bin",), ("a/",), ("/b",)]), exclude=st.sampled_from([(), ("b/b",)]))
def test_exactly_what_fits_and_the_directories_above_it_are_selected(
    paths: list[str], include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    selection, manifest = Selection(include, exclude), manifest_of(["./", *paths])
    wanted = [entry.path for entry in manifest if selection.covering()(entry.path)]
    if not paths or wanted:
        expected = [entry for entry in manifest if entry.path in with_parents(wanted)]
        assert list(selection.of(manifest)) == expected


def test_the_shards_of_a_snapshot_are_the_same_for_entries_in_any_order() -> None:
    forth, back = manifest_of(PATHS), Manifest(reversed(manifest_of(PATHS).entries))
    assert Selection(shard=Shard(1, 2)).of(forth) == Selection(shard=Shard(1, 2)).of(back)


@given(count=st.integers(1, 5), include=st.sampled_from([(), ("*.bin",), ("a/",)]))
def test_the_shards_of_a_selection_make_the_selection(count: int, include: tuple[str, ...]) -> None:
    shards = [paths(Selection(include, shard=Shard(index, count))) for index in range(1, count + 1)]
    assert sorted(set().union(*shards)) == paths(Selection(include))
    assert sum(not path.endswith("/") for shard in shards for path in shard) == sum(
        not path.endswith("/") for path in paths(Selection(include))
    )
