"""A tree of one large file, and a store whose uploads another run can resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio.to_thread
import pytest

from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.snapshot import snapshot_tree
from snapdir.transfer.tree_options import TreeOptions
from tests.transfer.conftest import push_tree
from tests.transfer.resuming.resumable import CONTENT, PART, ResumableStore


@pytest.fixture
def store() -> ResumableStore:
    return ResumableStore()


@pytest.fixture
def limits() -> Limits:
    return dataclasses.replace(Limits(), large_bytes=PART, part_bytes=PART)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "large").write_bytes(CONTENT)
    (root / "large").chmod(0o644)
    return root


@pytest.fixture
async def manifest(tree: Path, store: ResumableStore, limits: Limits) -> Manifest:
    """The manifest of ``tree``, which is in ``store``."""
    await push_tree(tree, Repository(store), limits)
    store.calls.clear()
    return await anyio.to_thread.run_sync(snapshot_tree, tree, TreeOptions(), Counters())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
