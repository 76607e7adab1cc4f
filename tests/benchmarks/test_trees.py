"""Trees: the same bytes for the same seed, made once, restored after a change."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest

from benchmarks.trees import FileGroup, Tree, change, changed_indices, make, restore

TREE = Tree(
    "tiny",
    (
        FileGroup("small", 250, 100, 900),
        FileGroup("copies", 5, 100, 900, same_as="small"),
        FileGroup("deep", 1, 3 << 20, 3 << 20, depth=3),
    ),
)


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    make(TREE, folder)
    return folder


def test_a_tree_is_the_same_wherever_it_is_made(made: Path, tmp_path: Path) -> None:
    assert contents(make(TREE, tmp_path)) == contents(made / "tiny")


def test_counts_and_sizes_are_those_of_the_files(made: Path) -> None:
    files = [file for file in (made / "tiny").rglob("*") if file.is_file()]
    assert len(files) == TREE.file_count == 256
    assert sum(file.stat().st_size for file in files) == TREE.size
    assert len(set(contents(made / "tiny").values())) == TREE.object_count == 251
    assert max(file.stat().st_size for file in files) == TREE.largest_file_bytes


def test_no_compressor_gains_anything(made: Path) -> None:
    data = (made / "tiny" / TREE.groups[2].path(0)).read_bytes()
    assert len(zlib.compress(data)) > len(data)


def test_a_tree_that_is_there_is_not_made_again(made: Path) -> None:
    file = made / "tiny" / TREE.groups[0].path(0)
    before = file.stat()
    make(TREE, made)
    assert file.stat() == before


def test_another_recipe_of_the_same_name_makes_it_again(tmp_path: Path) -> None:
    make(Tree("tiny", (FileGroup("other", 3, 1, 1),)), tmp_path)
    assert len(contents(make(Tree("tiny", (FileGroup("small", 2, 1, 1),)), tmp_path))) == 2


def test_a_change_rewrites_one_percent_each_a_byte_longer(tmp_path: Path) -> None:
    before = contents(make(TREE, tmp_path))
    assert change(TREE, tmp_path, 1) == len(changed_indices(250)) == 3
    after = contents(tmp_path / "tiny")
    changed = [path for path in before if before[path] != after[path]]
    assert changed == [TREE.groups[0].path(index) for index in (0, 100, 200)]
    assert [(tmp_path / "tiny" / path).stat().st_size for path in changed] == [
        TREE.groups[0].size(index) + 1 for index in (0, 100, 200)
    ]


def test_generations_differ(tmp_path: Path) -> None:
    make(TREE, tmp_path)
    seen = []
    for generation in (1, 2):
        change(TREE, tmp_path, generation)
        seen.append(contents(tmp_path / "tiny")[TREE.groups[0].path(0)])
    assert seen[0] != seen[1]


def test_restore_undoes_every_change(made: Path, tmp_path: Path) -> None:
    make(TREE, tmp_path)
    change(TREE, tmp_path, 1)
    change(TREE, tmp_path, 2)
    restore(TREE, tmp_path)
    assert contents(tmp_path / "tiny") == contents(made / "tiny")


def test_a_tree_left_changed_is_made_again(made: Path, tmp_path: Path) -> None:
    make(TREE, tmp_path)
    change(TREE, tmp_path, 1)
    assert contents(make(TREE, tmp_path)) == contents(made / "tiny")
