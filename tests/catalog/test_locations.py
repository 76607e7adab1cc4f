"""Which file a catalog is, and how locations are normalized."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir.catalog.locations import catalog_file, directory_location, possible_locations, store_location
from snapdir.stores.urls import StoreURL

CACHE = Path("/cache")


@pytest.mark.parametrize(
    ("selection", "file"),
    [
        ("default", "/cache/default-catalog.sqlite3"),
        ("foo", "/cache/foo-catalog.sqlite3"),
        ("/abs/my.db", "/abs/my.db"),
        ("./my.db", "/work/my.db"),
        ("sub/my.db", "/work/sub/my.db"),
        ("~/my.db", "/home/me/my.db"),
        ("none", None),
        ("", None),
    ],
)
def test_a_catalog_is_chosen_by_name_or_path(selection: str, file: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getcwd", lambda: "/work")
    monkeypatch.setenv("HOME", "/home/me")
    assert catalog_file(selection, CACHE) == (None if file is None else Path(file))


@pytest.mark.parametrize(
    "spelling", ["file:///data/st", "file:///data/st/", "file:/data/st", "/data/st", "/data/./st/"]
)
def test_a_store_is_one_location_however_it_is_spelled(spelling: str) -> None:
    assert store_location(StoreURL.parse(spelling)) == "file:///data/st"


@pytest.mark.parametrize("spelling", ["d", "./d", "d/", "d/../d", "/work/d", "/work//d/."])
def test_a_directory_is_one_location_however_it_is_spelled(spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getcwd", lambda: "/work")
    assert directory_location(spelling) == "/work/d"


def test_bytes_that_are_no_text_are_escaped() -> None:
    assert directory_location("/data/\udcff") == "/data/\\xff"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("s3://bucket/sets/", ("s3://bucket/sets",)),
        ("/data/st/", ("file:///data/st", "/data/st")),
        ("file:///data/st", ("file:///data/st",)),
        ("st", ("file:///work/st", "/work/st")),
        ("file://relative", ("file://relative",)),
    ],
)
def test_a_path_means_a_directory_or_the_store_in_it(
    text: str, meant: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getcwd", lambda: "/work")
    assert possible_locations(text) == meant
