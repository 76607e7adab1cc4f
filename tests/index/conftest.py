"""Trees whose files are old enough to be remembered, and what a run reads of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snapdir.index.files import IndexPlace
from snapdir.model.manifest import Manifest
from snapdir.transfer import snapshot
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.snapshot import snapshot_tree
from snapdir.transfer.tree_options import TreeOptions

SETTLED_NS = 50_000_000
"""Shorter than the margin of a run, and longer than the steps in which the kernel stamps files."""


@pytest.fixture(autouse=True)
def quick_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any filesystem that runs the tests counts, and files are old after SETTLED_NS."""
    monkeypatch.setattr("snapdir.index.tree_index.keeps_states", lambda _: True)
    monkeypatch.setattr("snapdir.index.record.SETTLED_NS", SETTLED_NS)
    monkeypatch.setattr("anyio.from_thread.check_cancelled", lambda: None)  # no loop can cancel it


def settle() -> None:
    """Let the files that exist now become old enough to be remembered."""
    until = time.monotonic_ns() + SETTLED_NS + SETTLED_NS // 5
    while time.monotonic_ns() < until:
        os.sched_yield()


Reads = Callable[..., tuple[Manifest, set[str]]]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reads:
    """Reads a tree with the index: its manifest, and the paths of the files that were opened."""
    opened: set[str] = set()
    hash_small_files, hash_large_file = snapshot.hash_small_files, snapshot.hash_large_file

    def small(sources: list, **options: object) -> object:
        opened.update(source.path for source in sources)
        return hash_small_files(sources, **options)

    def large(source: object, **options: object) -> object:
        opened.add(source.path)
        return hash_large_file(source, **options)

    monkeypatch.setattr(snapshot, "hash_small_files", small)
    monkeypatch.setattr(snapshot, "hash_large_file", large)

    def read(tree: Path, *, max_bytes: int = 1 << 30, rehash: bool = False, **options: object) -> tuple:
        opened.clear()
        place = IndexPlace(tmp_path / "cache", max_bytes, rehash)
        manifest = snapshot_tree(tree, TreeOptions(tree_index=place, **options), Counters())
        read_files = set(opened)
        assert manifest == snapshot_tree(tree, TreeOptions(**options), Counters())
        return manifest, read_files

    return read


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four directories, one of them empty, with nine files."""
    tree = tmp_path / "tree"
    for folder in (tree, tree / "a", tree / "a" / "b", tree / "c"):
        folder.mkdir()
    for folder in (tree, tree / "a", tree / "a" / "b"):
        for name in ("x", "y", "z"):
            (folder / name).write_text(f"{folder.name} {name}")
    settle()
    return tree
