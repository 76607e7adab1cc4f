"""A store in a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[FileStore]:
    store = FileStore(root, StoreSettings(fsync=False))
    yield store
    await store.aclose()
