from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from snapdir.disk.directories import DirectoryHandle, OpenDirectories, checked_name, remove_tree
from snapdir.errors import DestinationConflict, UnsafePath


def directories(root: Path, limit: int = 256) -> OpenDirectories:
    return OpenDirectories(str(root), DirectoryHandle(os.open(root, os.O_RDONLY)), limit=limit)


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_known_directory_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = directories(tmp_path)
    handle = opened.make(("a", "b"))
    monkeypatch.delattr(os, "open")
    assert opened.get(("a", "b")) is handle
    assert opened.make(("a", "b")) is handle


def test_only_so_many_directories_stay_open_and_the_latest_used_do(tmp_path: Path) -> None:
    opened = directories(tmp_path, limit=3)
    before = count_descriptors()
    first = opened.make(("0",))
    for number in range(1, 20):
        opened.make((str(number),))
        assert opened.get(("0",)) is first
    assert count_descriptors() == before + 3


def test_an_evicted_directory_stays_open_while_it_is_in_use(tmp_path: Path) -> None:
    opened = directories(tmp_path, limit=1)
    used = opened.make(("used",))
    opened.make(("other",))
    os.mkdir("inside", dir_fd=used.fd)
    assert (tmp_path / "used" / "inside").is_dir()


def test_a_path_may_be_deeper_than_the_recursion_limit_and_the_descriptors(tmp_path: Path) -> None:
    names = ("d",) * 1500
    opened = directories(tmp_path)
    os.mkdir("leaf", dir_fd=opened.make(names).fd)
    opened = directories(tmp_path)
    assert os.listdir(f"/proc/self/fd/{opened.get(names).fd}") == ["leaf"]
    before = count_descriptors()
    remove_tree("d", dir_fd=opened.get(()).fd)
    gc.collect()
    assert os.listdir(tmp_path) == []
    assert count_descriptors() <= before


@pytest.mark.parametrize("names", [(), ("",), ("a", "."), ("a", ".."), ("a/b",), ("a\0b",)])
def test_a_name_that_could_lead_elsewhere_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UnsafePath):
        checked_name(names)


def test_an_unsafe_component_in_the_middle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafePath):
        directories(tmp_path).make(("a", "..", "b"))
    with pytest.raises(UnsafePath):
        directories(tmp_path).get(("..", "b"))


def test_only_an_empty_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "full" / "inside").mkdir(parents=True)
    opened = directories(tmp_path)
    opened.make(("full", "inside"))
    with pytest.raises(DestinationConflict, match="not empty"):
        opened.remove_empty(("full",))
    opened.remove_empty(("full", "inside"))
    opened.remove_empty(("full",))
    assert os.listdir(tmp_path) == []
    opened.make(("full", "inside"))
    assert (tmp_path / "full" / "inside").is_dir()
