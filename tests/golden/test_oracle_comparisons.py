"""Generated stores: snapdir and the reference report the same differences and sizes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import snapdir
from snapdir.config import Config
from snapdir.errors import Conflict
from snapdir.stores.settings import StoreSettings
from snapdir.testing.strategies import FileNode, Tree, build_tree, trees
from tests.golden.reference import Reference, ReferenceMissing, ReferenceRefused
from tests.golden.test_oracle import drawing
from tests.needed import skip

STORES = 50


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    try:
        running = Reference(tmp_path_factory.mktemp("reference-cache"))
    except ReferenceMissing as missing:
        skip("the reference", str(missing))
    with running:
        yield running


@st.composite
def revisions(draw: st.DrawFn) -> list[Tree]:
    """A tree and up to two later states of it: some files gone, changed or new."""
    states = [draw(trees(links=False))]
    for _ in range(draw(st.integers(1, 2))):
        states.append(_changed(draw, states[-1]))
    return states


def _changed(draw: st.DrawFn, tree: Tree) -> Tree:
    nodes = []
    linked = {node.of for node in tree if hasattr(node, "of")}
    for node in tree:
        fate = draw(st.sampled_from(["kept", "kept", "changed", "chmod", "gone"])) if isinstance(node, FileNode) else ""
        if fate == "changed":
            node = FileNode(node.path, draw(st.binary(max_size=20)), node.mode)  # noqa: PLW2901
        elif fate == "chmod":
            node = FileNode(node.path, node.content, 0o600)  # noqa: PLW2901
        if fate != "gone" or node.path in linked:
            nodes.append(node)
    taken = {node.path for node in tree}
    added = [FileNode(name, draw(st.binary(max_size=20))) for name in ("added-1", "added-2") if name not in taken]
    return (*nodes, *added[: draw(st.integers(0, 2))])


@given(states=revisions())
@settings(drawing, max_examples=STORES)
def test_diff_and_size_agree(reference: Reference, states: list[Tree]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = Config(cache_dir=place / "cache", stores=StoreSettings(fsync=False))
        stores = [f"file://{place}/{name}" for name in ("before", "after")]
        for number, tree in enumerate(states):
            root = place / f"tree-{number}"
            build_tree(tree, root)
            # The first state, then all later ones: the second store holds one or two snapshots.
            pushed = asyncio.run(snapdir.push(root, stores[min(number, 1)], config=config))
            assert our_size(stores[min(number, 1)], config, id=pushed) == reference.size(
                stores[min(number, 1)], id=pushed
            )
        for store in stores:
            assert our_size(store, config) == reference.size(store)
        for before, after in ((stores[:1], stores[1:]), (stores[1:], stores[:1]), (stores, stores[:1])):
            assert our_diff(before, after, config) == their_diff(reference, before, after)


def our_size(store: str, config: Config, **pinned: str) -> list[int]:
    found = asyncio.run(snapdir.size(store, config=config, **pinned))
    return [found.logical_bytes, found.physical_bytes, found.files, found.objects]


def our_diff(before: list[str], after: list[str], config: Config) -> Any:
    try:
        found = asyncio.run(snapdir.diff(snapdir.DiffOptions.from_refs(before, after), config=config))
    except Conflict as conflict:
        return conflict.code
    return [(entry.status, entry.path) for entry in found]


def their_diff(reference: Reference, before: list[str], after: list[str]) -> Any:
    try:
        return reference.diff(before, after)
    except ReferenceRefused as refused:
        return refused.code
