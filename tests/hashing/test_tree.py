"""Checksums and sizes of directories, compared with a direct implementation of the format."""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from snapdir.hashing.hasher import hasher_factory
from snapdir.hashing.tree import digest_of, directory_checksum, manifest_id, with_directories
from snapdir.model.digest import EMPTY_DIGEST
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest

names = st.sampled_from(["a", "b", "cc", "d e"])
checksums = st.sampled_from([letter * 64 for letter in "0123"])
trees = st.recursive(
    st.tuples(checksums, st.integers(0, 9)), lambda below: st.dictionaries(names, below, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


def spread(tree: dict, path: str = "./") -> tuple[list[Entry], dict[str, str]]:
    """The files of a drawn tree, and the modes of its directories."""
    files: list[Entry] = []
    modes = {path: "755"}
    for name, below in tree.items():
        if isinstance(below, dict):
            more, deeper = spread(below, f"{path}{name}/")
            files += more
            modes |= deeper
        else:
            files.append(Entry("F", "644", below[0], below[1], path + name))
    return files, modes


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


@given(trees)
def test_directories_are_summed_from_the_leaves_up(tree: dict) -> None:
    files, modes = spread(tree)
    assert Manifest(with_directories(files, modes)) == Manifest(expected(tree))


@given(trees)
def test_absolute_paths_are_summed_alike(tree: dict) -> None:
    files, modes = spread(tree, "/data/set/")
    assert Manifest(with_directories(files, modes)) == Manifest(expected(tree, "/data/set/"))


def test_a_tree_at_the_root_of_a_filesystem_is_summed() -> None:
    files, modes = spread({"a": {"b": ("0" * 64, 3)}}, "/")
    assert Manifest(with_directories(files, modes)) == Manifest(expected({"a": {"b": ("0" * 64, 3)}}, "/"))


def test_an_empty_directory_has_the_digest_of_no_bytes() -> None:
    assert directory_checksum([]) == EMPTY_DIGEST
    assert directory_checksum([], hasher_factory("md5sum")) == "d41d8cd98f00b204e9800998ecf8427e"


def test_an_id_hashes_the_stored_text() -> None:
    manifest = Manifest([Entry("F", "644", "0" * 64, 1, "./x")])
    assert manifest_id(manifest) == blake3(b"F 644 " + b"0" * 64 + b" 1 ./x\n").hexdigest()
    assert digest_of(b"") == EMPTY_DIGEST
