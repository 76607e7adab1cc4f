"""Trees too deep for one system call: every verb reads what a pull writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.test_long_paths import TREE, make_deep, remove_deep
from tests.e2e.conftest import Program, Run


@pytest.fixture
def deep(program: Program) -> Iterator[Path]:
    root = program.folder / TREE
    root.mkdir()
    make_deep(root)
    copies = program.folder / "copies"
    copies.mkdir()
    yield root
    remove_deep(copies)
    remove_deep(root)


def test_a_pulled_tree_is_read_again(program: Program, deep: Path) -> None:
    identifier = program.id("push", "--no-follow", "--store", "./store", str(deep))
    assert program.id("id", "--no-follow", str(deep)) == identifier
    copy = f"copies/{TREE}"
    assert program("pull", "--store", "./store", "--id", identifier, copy) == Run(0, "", "")
    assert program.id("id", copy) == identifier
    assert program("status", copy).code == 0
    assert program.id("push", "--store", "./other", copy) == identifier
    assert program("diff", copy, f"./store@{identifier}") == Run(0, "", "")
    assert program("pull", "--store", "./store", "--id", identifier, "--strict", copy) == Run(0, "", "")


def test_a_linked_tree_is_read_again(program: Program, deep: Path) -> None:
    identifier = program.id("stage", str(deep))
    copy = f"copies/{TREE}"
    assert program("checkout", "--linked", "--id", identifier, copy).code == 0
    status = program("status", copy)
    assert status.code == 0, status
    assert program("checkout", "--linked", "--id", identifier, "--delete", copy).code == 0


def test_a_store_is_mended_from_it(program: Program, deep: Path) -> None:
    identifier = program.id("push", "--no-follow", "--store", "./store", str(deep))
    for lost in [path for path in (program.folder / "store/.objects").rglob("*") if path.is_file()]:
        lost.unlink()
    mended = program("verify", "--store", "./store", "--id", identifier, "--repair-from", str(deep))
    assert mended.code == 0, mended
    assert program("verify", "--store", "./store", "--id", identifier).code == 0
