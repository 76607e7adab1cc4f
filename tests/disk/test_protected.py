"""Destinations that a mirror refuses, in any spelling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.disk.protected import ProtectedDirectory, refuse_protected
from snapdir.errors import DestinationConflict


@pytest.fixture
def directories(tmp_path: Path) -> list[ProtectedDirectory]:
    for name in ("users/me/data", "stores/cache/inner", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    return [
        ProtectedDirectory("/", "the root of the filesystem", closed=False),
        ProtectedDirectory(str(tmp_path / "users/me"), "a home", closed=False),
        ProtectedDirectory(str(tmp_path / "stores/cache"), "the cache", closed=True),
        ProtectedDirectory(str(tmp_path / "not/there/yet"), "a store", closed=True),
    ]


@pytest.mark.parametrize(
    ("destination", "relation"),
    [
        ("/", "it is the root"),
        ("users/me", "it is a home"),
        ("users/me/", "it is a home"),
        ("users/./me/data/..", "it is a home"),
        ("users", "it holds a home"),
        (".", "it holds a home"),
        ("stores", "it holds the cache"),
        ("stores/cache", "it is the cache"),
        ("stores/cache/inner", "it lies in the cache"),
        ("stores/cache/not-there", "it lies in the cache"),
        ("not", "it holds a store"),
        ("not/there/yet", "it is a store"),
        ("not/there/yet/below", "it lies in a store"),
    ],
)
def test_a_protected_place_what_holds_it_and_what_lies_in_it_are_refused(
    destination: str, relation: str, tmp_path: Path, directories: list[ProtectedDirectory]
) -> None:
    with pytest.raises(DestinationConflict, match=f"refusing to mirror-delete this directory: {relation}"):
        refuse_protected(os.path.join(tmp_path, destination), directories)


@pytest.mark.parametrize("destination", ["users/me/data", "elsewhere", "elsewhere/new", "users/me2", "stores/cache2"])
def test_other_places_pass(destination: str, tmp_path: Path, directories: list[ProtectedDirectory]) -> None:
    refuse_protected(tmp_path / destination, directories)


def test_links_on_either_side_change_nothing(tmp_path: Path, directories: list[ProtectedDirectory]) -> None:
    (tmp_path / "alias").symlink_to("users")
    (tmp_path / "other-alias").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DestinationConflict, match="it is a home"):
        refuse_protected(tmp_path / "alias" / "me", directories)
    with pytest.raises(DestinationConflict, match="it is the store"):
        refuse_protected(
            tmp_path / "elsewhere", [ProtectedDirectory(str(tmp_path / "other-alias"), "the store", closed=True)]
        )
