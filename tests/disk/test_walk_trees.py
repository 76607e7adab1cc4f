"""A walk of any tree finds the same entries as a plain recursion by the same rules."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given

from snapdir.disk.walk import Walk, clean_path
from snapdir.errors import LocalError
from snapdir.model.patterns import Exclusion
from snapdir.model.source import SourceFile, identity_of
from snapdir.testing.strategies import DirectoryNode, FileNode, LinkNode, Tree, build_tree, trees


def plain(folder: str, path: str, *, follow: bool) -> Iterator[tuple[str, str, int] | tuple[str, str]]:
    """(path, mode, size) of each file and (path, mode) of each directory: a link has its own mode and length."""
    for name in os.listdir(folder):
        file = f"{folder}/{name}"
        own = os.lstat(file)
        try:
            status = os.stat(file) if follow else own
        except OSError:
            continue  # a link that leads nowhere
        mode = f"{own.st_mode & 0o7777:o}"
        if stat.S_ISREG(status.st_mode):
            yield path + name, mode, own.st_size
        elif stat.S_ISDIR(status.st_mode):
            yield f"{path}{name}/", mode
            yield from plain(file, f"{path}{name}/", follow=follow)


def walked(walk: Walk) -> tuple[list[SourceFile], set[tuple[str, str, int] | tuple[str, str]]]:
    files = list(walk)
    return files, {*walk.directory_modes.items(), *((file.path, file.mode, file.size) for file in files)}


@pytest.mark.parametrize("follow", [True, False])
@given(tree=trees())
def test_a_walk_finds_every_file_and_directory_with_mode_and_size(follow: bool, tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "tree")
        build_tree(tree, root)
        walk = Walk(root, follow=follow)
        files, found = walked(walk)
        expected = {("./", f"{os.stat(root).st_mode & 0o7777:o}"), *plain(str(root), "./", follow=follow)}
        assert found == expected
        assert len(files) == len({file.path for file in files})
        assert walk.followed_files == sum(os.path.islink(file.file) for file in files)
        for file in files:
            status = os.stat(file.file)
            assert file.identity == identity_of(status)
            assert file.content_bytes == status.st_size


def test_absolute_paths_begin_with_the_root(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build_tree((DirectoryNode("a"), FileNode("a/b", b"12", 0o640)), root)
    _, found = walked(Walk(f"{root}/.//", absolute=True))
    assert found == {(f"{root}/", "755"), (f"{root}/a/", "755"), (f"{root}/a/b", "640", 2)}


def test_a_root_that_is_a_link_has_the_mode_of_a_link(tmp_path: Path) -> None:
    build_tree((FileNode("x", b""),), tmp_path / "tree")
    (tmp_path / "link").symlink_to("tree")
    _, found = walked(Walk(tmp_path / "link"))
    assert found == {("./", "777"), ("./x", "644", 0)}


def test_a_root_that_is_missing_or_no_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        with pytest.raises(LocalError) as caught:
            list(Walk(tmp_path / name))
        assert caught.value.path == str(tmp_path / name)


def test_an_excluded_directory_is_not_entered(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build_tree((DirectoryNode("a"), FileNode("a/b", b""), FileNode("c", b""), LinkNode("d", "c")), root)
    seen = []

    class Recorded(Exclusion):
        def __call__(self, absolute_path: str, relative_path: str) -> bool:
            seen.append((absolute_path, relative_path))
            return super().__call__(absolute_path, relative_path)

    _, found = walked(Walk(root, excluded=Recorded([], ["./a$", "./d$"])))
    assert found == {("./", "755"), ("./c", "644", 0)}
    assert sorted(seen) == [(f"{root}/{name}", f"./{name}") for name in "acd"]


def test_a_path_is_made_absolute_and_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert clean_path("") == str(tmp_path)
    assert clean_path("./a//b/") == f"{tmp_path}/a/b"
    assert clean_path("//a/../b") == "/a/../b"
    assert clean_path("/") == "/"
