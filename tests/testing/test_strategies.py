from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from hypothesis import given, settings

from snapdir.testing.strategies import DirectoryNode, FileNode, LinkNode, Tree, build_tree, names, trees


@given(names())
def test_a_name_fits_in_a_manifest_line(name: str) -> None:
    assert name
    assert name not in (".", "..")
    assert not set(name) & set("/\0\n")
    assert not name.endswith("\r")
    assert len(name.encode()) <= 255


@given(trees())
@settings(max_examples=60)
def test_a_tree_is_built_as_it_says(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        build_tree(tree, root)
        for node in tree:
            path = root / node.path
            status = path.lstat()
            if isinstance(node, FileNode):
                assert path.read_bytes() == node.content
                assert stat.S_IMODE(status.st_mode) & 0o777 == node.mode & 0o777
            elif isinstance(node, DirectoryNode):
                assert stat.S_ISDIR(status.st_mode)
            elif isinstance(node, LinkNode):
                assert stat.S_ISLNK(status.st_mode)
        built = sum(len(folders) + len(files) for _, folders, files in os.walk(root))
        assert built == len(tree)


@given(trees())
@settings(max_examples=60)
def test_following_every_link_ends(tree: Tree) -> None:
    """A cycle goes round at most 40 times before the system refuses, and it is the only one."""
    with tempfile.TemporaryDirectory() as folder:
        build_tree(tree, Path(folder) / "root")
        pending, seen = [os.path.join(folder, "root")], 0
        while pending:
            seen += 1
            assert seen < 3000
            with os.scandir(pending.pop()) as entries:
                pending += [entry.path for entry in entries if os.path.isdir(entry.path)]


@given(trees(links=False))
def test_links_can_be_left_out(tree: Tree) -> None:
    assert not any(isinstance(node, LinkNode) for node in tree)
