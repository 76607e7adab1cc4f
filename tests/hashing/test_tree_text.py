"""The manifest of any tree, whatever the order in which its files are hashed, against a direct implementation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import SnapdirError
from snapdir.hashing.tree_text import DirectoryText, TextRange, TextSpool, TreeText, position_of
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest
from snapdir.model.source import HashedFile, SourceFile

names = st.sampled_from(["a", "a!", "a0", "b", "b-c", "c\r", "d e", "é", "\U0001f600", "\uff00"])
checksums = st.sampled_from([letter * 64 for letter in "0123"])
trees = st.recursive(
    st.tuples(checksums, st.integers(0, 9)), lambda below: st.dictionaries(names, below, max_size=5), max_leaves=20
).filter(lambda tree: isinstance(tree, dict))


def summed(tree: dict) -> tuple[str, int]:
    """A directory's checksum hashes the distinct checksums of what is directly in it, sorted; its size adds up."""
    children = [summed(below) if isinstance(below, dict) else below for below in tree.values()]
    text = "".join(sorted({checksum for checksum, _ in children}))
    return blake3(text.encode()).hexdigest(), sum(size for _, size in children)


def expected(tree: dict, path: str = "./") -> list[Entry]:
    checksum, size = summed(tree)
    entries = [Entry("D", "755", checksum, size, path)]
    for name, below in tree.items():
        if isinstance(below, dict):
            entries += expected(below, f"{path}{name}/")
        else:
            entries.append(Entry("F", "644", *below, path + name))
    return entries


def walked(tree: dict, path: str) -> Iterator[tuple[str, list[HashedFile], bool]]:
    """(path, files, whether it is a leaf) of each directory, as a walk finds them."""
    files = [
        HashedFile(SourceFile(path + name, "", "644", below[1], (below[1], 0, 0, 0)), below[0])
        for name, below in sorted(tree.items())
        if not isinstance(below, dict)
    ]
    below = {name + "/": each for name, each in tree.items() if isinstance(each, dict)}
    yield path, files, not below
    for name in sorted(below):
        yield from walked(below[name], path + name)


def in_memory(_directory: DirectoryText, text: bytes) -> bytes:
    return text


def put_together(tree: dict, draw: Callable[[st.SearchStrategy[int]], int], root: str) -> TreeText:
    """The files are added in batches of any size and order, some of them after the walk has gone on."""
    text = TreeText(blake3, in_memory)
    late: list[list[HashedFile]] = []
    for path, files, is_leaf in walked(tree, root):
        directory = text.enter(path, "755")
        count = len(files)
        start = 0
        while start < count:
            size = draw(st.integers(1, count - start))
            batch = files[start : start + size]
            start += size
            if draw(st.integers(0, 1)):
                late.append(batch)
            else:
                text.add(batch)
        text.complete(directory, count, is_leaf=is_leaf)
    while late:
        text.add(late.pop(draw(st.integers(0, len(late) - 1))))
    text.finish()
    return text


@given(trees, st.data(), st.sampled_from(["./", "/data/set/", "/"]))
def test_any_order_of_hashing_gives_the_manifest(tree: dict, data: st.DataObject, root: str) -> None:
    made = b"".join(put_together(tree, data.draw, root).pieces())
    assert made == Manifest(expected(tree, root)).stored


@given(st.lists(names.map(str.encode), unique=True).map(sorted), names.map(str.encode), st.integers(0, 2))
def test_a_position_is_found_by_halving(paths: list[bytes], path: bytes, first: int) -> None:
    lines = [b"F 644 %s 1 %s\n" % (b"0" * 64, each) for each in paths]
    start = len(b"".join(lines[:first]))
    at = position_of(b"".join(lines), path, start)
    before = [each for index, each in enumerate(paths) if index < first or each < path]
    assert at == len(b"".join(lines[: len(before)]))


def test_texts_above_the_budget_go_to_a_file(monkeypatch: pytest.MonkeyPatch, open_descriptors: None) -> None:
    monkeypatch.setattr("snapdir.hashing.tree_text.MEMORY_BYTES", 3)
    spool = TextSpool()
    kept = [spool.keep(text) for text in (b"abc", b"defg", b"", b"hi")]
    assert [text.read() if isinstance(text, TextRange) else text for text in kept] == [b"abc", b"defg", b"", b"hi"]
    assert [isinstance(text, TextRange) for text in kept] == [False, True, False, True]
    os.ftruncate(kept[1].fd, 2)
    with pytest.raises(SnapdirError, match="has lost 2 bytes"):
        kept[1].read()
    spool.close()
    spool.close()


def test_without_room_for_a_file_texts_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapdir.hashing.tree_text.MEMORY_BYTES", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert TextSpool().keep(b"abc") == b"abc"
