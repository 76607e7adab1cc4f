"""Stores, caches and catalogs inside a tree are found, also through links, and named with a way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.disk.own_locations import OwnLocation, OwnLocations
from snapdir.model.ignoring import IgnoreRules


def met(root: Path, *places: OwnLocation, excluded: object = None, ignored: object = None) -> list[str]:
    """The warnings of a walk that goes into every directory below ``root``, through links too."""
    own = OwnLocations(places)
    for folder, _, _ in os.walk(root, followlinks=True):
        status = os.stat(folder)
        path = "./" + "".join(f"{name}/" for name in Path(folder).relative_to(root).parts)
        own.enter((status.st_dev, status.st_ino), folder, path, excluded, ignored)  # type: ignore[arg-type]
    return own.warnings(str(root))


def test_a_place_that_exists_is_named_with_the_pattern_that_leaves_it_out(tmp_path: Path) -> None:
    (tmp_path / "a/store").mkdir(parents=True)
    (warning,) = met(tmp_path, OwnLocation(str(tmp_path / "a/store"), "the store"))
    assert warning == (
        f"the store {tmp_path}/a/store is inside {tmp_path} (./a/store), so every run that writes to it changes the"
        " id; move it elsewhere or exclude it with --exclude './a/store$'"
    )


def test_a_place_that_is_still_to_be_made_is_met_at_the_nearest_directory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (warning,) = met(tmp_path, OwnLocation(str(tmp_path / "a/b/c/store"), "the store"))
    assert "(./a/b/c/store), so" in warning
    assert met(tmp_path, OwnLocation(str(tmp_path / "a/b/store"), "the default cache", foreign=True)) == []


def test_a_place_is_met_through_a_link_and_by_another_spelling(tmp_path: Path) -> None:
    (tmp_path / "outside/store").mkdir(parents=True)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")
    (warning,) = met(tmp_path / "tree", OwnLocation(f"{tmp_path}/tree/../outside/./store", "the store"))
    assert "(./link/store), so" in warning


def test_the_tree_itself_cannot_be_left_out(tmp_path: Path) -> None:
    (warning,) = met(tmp_path, OwnLocation(str(tmp_path), "the cache"))
    assert warning.endswith("is the tree itself, so every run that writes to it changes the id; move it elsewhere")


def test_of_places_inside_each_other_the_outer_one_is_named_and_a_place_twice_once(tmp_path: Path) -> None:
    (tmp_path / "cache/store").mkdir(parents=True)
    cache, store = (
        OwnLocation(str(tmp_path / "cache"), "the cache"),
        OwnLocation(str(tmp_path / "cache/store"), "the store"),
    )
    assert [line.split(" /")[0] for line in met(tmp_path, store, cache, cache)] == ["the cache"]


def test_a_place_that_is_excluded_or_elsewhere_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "store").mkdir()
    assert met(tmp_path / "tree", OwnLocation(str(tmp_path / "store"), "the store")) == []
    inside = OwnLocation(str(tmp_path / "tree/a/store"), "the store")
    assert met(tmp_path / "tree", inside, excluded=lambda file, path: path == "./a") == []
    assert len(met(tmp_path / "tree", inside, excluded=lambda file, path: path == "./b")) == 1


@pytest.mark.parametrize(
    ("rule", "named"), [("store", 0), ("store/", 0), ("/a/b", 0), ("/store", 1), ("c", 1), ("store/x", 1)]
)
def test_a_place_that_is_ignored_is_not_named(tmp_path: Path, rule: str, named: int) -> None:
    (tmp_path / "a").mkdir()
    inside = OwnLocation(str(tmp_path / "a/b/store"), "the store")
    assert len(met(tmp_path, inside, ignored=IgnoreRules([rule]))) == named
    file = OwnLocation(str(tmp_path / "a/b/store"), "the catalog", beside="(-wal)?")
    assert len(met(tmp_path, file, ignored=IgnoreRules([rule]))) == (1 if rule == "store/" else named)
