"""Emptying a cache removes the cache's own entries and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir.disk.cache_directory import CONTENTS, flush
from snapdir.errors import LocalError


def test_what_is_a_caches_goes_and_what_else_is_there_stays(tmp_path: Path) -> None:
    for name in CONTENTS:
        (tmp_path / name / "a").mkdir(parents=True)
        (tmp_path / name / "a" / "b").write_bytes(b"x")
    (tmp_path / "default-catalog.sqlite3").touch()
    (tmp_path / ".checkouts").mkdir()
    flush(tmp_path, dry_run=True)
    assert {file.name for file in tmp_path.iterdir()} >= set(CONTENTS)
    flush(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".checkouts", "default-catalog.sqlite3"]


def test_a_link_and_a_file_in_a_caches_place_go_and_nothing_behind_them(tmp_path: Path) -> None:
    cache, outside = tmp_path / "cache", tmp_path / "outside"
    cache.mkdir()
    outside.mkdir()
    (outside / "precious").touch()
    (cache / ".objects").symlink_to(outside)
    (cache / ".known").touch()
    flush(cache)
    assert list(cache.iterdir()) == []
    assert (outside / "precious").exists()


@pytest.mark.parametrize("sign", [*CONTENTS, ".checkouts", "x-catalog.redb", "x-catalog.sqlite3"])
def test_one_sign_makes_a_directory_a_cache(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).mkdir()
    (tmp_path / "mine").touch()
    flush(tmp_path)
    assert (tmp_path / "mine").exists()


def test_a_directory_without_one_is_refused_and_nothing_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(LocalError, match="not a snapdir cache"):
        flush(tmp_path)
    assert (tmp_path / "mine").exists()


def test_a_missing_and_an_empty_directory_are_fine(tmp_path: Path) -> None:
    flush(tmp_path)
    flush(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
