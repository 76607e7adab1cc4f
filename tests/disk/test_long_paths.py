"""Trees whose paths are too long for one system call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.disk.directories import remove_tree
from snapdir.disk.long_paths import open_file, read_link, status_of
from snapdir.disk.walk import Walk
from snapdir.errors import LocalError, UnsafeName

pytestmark = pytest.mark.usefixtures("open_descriptors")

NAME = "d" * 200
DEPTH = 20
"""4,020 characters: with what is above it too long, and still a path that a manifest may have."""
TREE = "t" * 200


def make_deep(root: Path, depth: int = DEPTH, name: str = NAME) -> str:
    """Nested directories with a file, a link to it and an empty directory at the end; returns the path of that end."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("file", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=here), "wb") as file:
        file.write(b"at the end")
    with open(os.open("large", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=here), "wb") as file:
        file.write(b"at the end" * 200_000)
    os.symlink("file", "link", dir_fd=here)
    os.symlink("nowhere", "broken", dir_fd=here)
    os.mkdir("empty", dir_fd=here)
    os.close(here)
    return "/".join([str(root), *[name] * depth])


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[str]:
    root = tmp_path / TREE
    root.mkdir()
    yield make_deep(root)
    remove_deep(root)


def remove_deep(root: Path) -> None:
    here = os.open(root.parent, os.O_RDONLY)
    remove_tree(root.name, dir_fd=here)
    os.close(here)


def test_every_call_reaches_the_end(deep: str) -> None:
    with pytest.raises(OSError, match="File name too long"):
        os.stat(f"{deep}/file")
    assert status_of(f"{deep}/file").st_size == 10
    assert status_of(f"{deep}/link").st_size == 10
    assert status_of(f"{deep}/link", follow_symlinks=False).st_size == 4
    assert read_link(f"{deep}/link") == "file"
    descriptor = open_file(f"{deep}/file", os.O_RDONLY)
    assert os.read(descriptor, 100) == b"at the end"
    os.close(descriptor)


def test_what_is_not_there_is_told_as_for_a_short_path(deep: str) -> None:
    with pytest.raises(FileNotFoundError):
        status_of(f"{deep}/nothing")
    with pytest.raises(OSError, match="File name too long"):
        status_of(f"{deep}/{'n' * 256}")
    with pytest.raises(OSError, match="File name too long"):
        status_of("/" + "n" * 5000)


def test_a_walk_finds_all_of_it(deep: str, tmp_path: Path) -> None:
    walk = Walk(tmp_path / TREE)
    found = {file.path.rpartition("/")[2]: file for file in walk}
    assert sorted(found) == ["file", "large", "link"]
    assert found["link"].mode == "777"
    assert found["file"].file == f"{deep}/file"
    assert len(walk.directory_modes) == 1 + DEPTH + 1
    assert [reason for _, reason in walk.left_out.entries] == ["broken link"]
    assert walk.has_long_paths


def test_a_walk_may_begin_at_the_end(deep: str) -> None:
    assert sorted(file.path for file in Walk(deep)) == ["./file", "./large", "./link"]
    with pytest.raises(LocalError, match="not a directory"):
        list(Walk(f"{deep}/file"))


def test_a_path_that_no_checkout_writes_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    make_deep(root, DEPTH + 1)
    with pytest.raises(UnsafeName, match="longer than 4096 characters"):
        list(Walk(root))
    remove_deep(root)
